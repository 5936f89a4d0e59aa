// Command bulkhead-testbed-stream runs in pods: it sends a packet to each of its targets every millisecond, or counts
// the packets that arrive and echoes what comes by TCP on the same port. Between two such pods no moment without a
// firewall goes unseen. To talk is to hold one TCP connection, and never another; to dial is to open one for a moment.
//
//	bulkhead-testbed-stream send ADDRESS:PORT…
//	bulkhead-testbed-stream receive
//	bulkhead-testbed-stream talk ADDRESS:PORT
//	bulkhead-testbed-stream dial ADDRESS:PORT
//
// All but dial tell their counts as JSON over HTTP on port 7001 of the loopback interface.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

const (
	dataPort       = 7000
	controlAddress = "127.0.0.1:7001"
	interval       = time.Millisecond
)

// counts are of packets.
type counts struct {
	mu       sync.Mutex
	Tried    int            `json:"tried"`    // sent, whether the kernel took them or not
	Received map[string]int `json:"received"` // by source; of who talks, answers
	// Began is when the program started, and Since when packets of a source began to arrive, at last after a pause.
	Began time.Time            `json:"began"`
	Since map[string]time.Time `json:"since"`
	last  map[string]time.Time
}

// pause is longer than one between two packets of a sender's, on a busy machine too, and shorter than it takes to start
// a pod.
const pause = 300 * time.Millisecond

func (c *counts) tried() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Tried++
}

func (c *counts) received(source string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Received[source]++
	now := time.Now()
	if now.Sub(c.last[source]) > pause {
		c.Since[source] = now
	}
	c.last[source] = now
}

func (c *counts) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// The reader has gone if this fails.
	_ = json.NewEncoder(w).Encode(c)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	seen := &counts{Received: map[string]int{}, Began: time.Now(), Since: map[string]time.Time{}, last: map[string]time.Time{}}
	failed := make(chan error)
	switch {
	case len(args) > 1 && args[0] == "send":
		for _, target := range args[1:] {
			go func() { failed <- send(ctx, target, seen) }()
		}
	case len(args) == 1 && args[0] == "receive":
		go func() { failed <- receive(seen) }()
		go func() { failed <- echo() }()
	case len(args) == 2 && args[0] == "talk":
		go func() { failed <- talk(ctx, args[1], seen) }()
	case len(args) == 2 && args[0] == "dial":
		return dial(args[1])
	default:
		return errors.New("usage: bulkhead-testbed-stream send ADDRESS:PORT… | receive | talk ADDRESS:PORT | dial ADDRESS:PORT")
	}
	go func() { failed <- http.ListenAndServe(controlAddress, seen) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// send never gives up: that the kernel refuses a packet, or the network is not there yet, is what a firewall does.
func send(ctx context.Context, target string, seen *counts) error {
	address, err := net.ResolveUDPAddr("udp", target)
	if err != nil {
		return err
	}
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return err
	}
	defer socket.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			_, _ = socket.WriteToUDP([]byte("stream"), address)
			seen.tried()
		}
	}
}

// patience is how long an answer may take, and endurance on the connection that is all there is: on a busy machine it
// must not break by itself.
const (
	patience  = 2 * time.Second
	endurance = time.Minute
)

// dial connects, says something and is answered.
func dial(target string) error {
	connection, err := net.DialTimeout("tcp", target, patience)
	if err != nil {
		return err
	}
	defer connection.Close()
	return exchange(connection, patience)
}

func exchange(connection net.Conn, within time.Duration) error {
	if err := connection.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if _, err := connection.Write([]byte("x")); err != nil {
		return err
	}
	_, err := connection.Read(make([]byte, 1))
	return err
}

// talk holds one connection as long as it lasts. When it has broken there are no answers any more.
func talk(ctx context.Context, target string, seen *counts) error {
	connection, err := net.DialTimeout("tcp", target, patience)
	for err != nil && ctx.Err() == nil { // the firewall may not know of the peer yet
		time.Sleep(100 * time.Millisecond)
		connection, err = net.DialTimeout("tcp", target, patience)
	}
	for err == nil {
		seen.tried()
		if err = exchange(connection, endurance); err == nil {
			seen.received(target)
		}
		time.Sleep(10 * time.Millisecond)
	}
	<-ctx.Done()
	return nil
}

// echo answers whoever connects.
func echo() error {
	listener, err := net.Listen("tcp", fmt.Sprintf(":%d", dataPort))
	if err != nil {
		return err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			// Whoever connected has gone if this fails.
			_, _ = io.Copy(connection, connection)
		}()
	}
}

func receive(seen *counts) error {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{Port: dataPort})
	if err != nil {
		return err
	}
	defer socket.Close()
	buffer := make([]byte, 64)
	for {
		_, from, err := socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		seen.received(from.Addr().Unmap().String())
	}
}
