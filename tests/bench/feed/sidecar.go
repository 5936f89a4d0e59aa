//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/dial"
)

const serverName = ownService + "." + ownNamespace + ".svc"

// The pauses between attempts are those of sidecar/peers.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	attempting   = 10 * time.Second
)

// sidecar speaks the stream's protocol as the real one does, over a connection and with
// a token of its own, and applies what it hears to a set in memory.
type sidecar struct {
	*fleet
	tenant *tenant
	pod    podRef
	token  string
	source *net.TCPAddr // of its own: the feed bounds what one address may do

	since    atomic.Int64 // when it had a snapshot, by the clock's nanoseconds; 0: it has none
	received atomic.Int64 // bytes on the wire

	mutex   sync.Mutex
	heard   []heard // of deltas
	failure error   // why the last stream ended
}

// heard is an address that was added or removed.
type heard struct {
	address netip.Addr
	added   bool
	at      time.Time
}

// source is the nth address of the loopback's range, which is all this machine's.
func source(n int) *net.TCPAddr {
	return &net.TCPAddr{IP: net.IP(binary.BigEndian.AppendUint32(nil, 127<<24|64<<16+uint32(n)))}
}

// run holds a stream until the context ends.
func (s *sidecar) run(ctx context.Context) {
	for pause := firstPause; ctx.Err() == nil; pause = min(2*pause, longestPause) {
		s.attempts.Add(1)
		err := s.stream(ctx)
		if s.since.Swap(0) != 0 {
			pause = firstPause
		}
		s.mutex.Lock()
		s.failure = err
		s.mutex.Unlock()
		wait := time.Duration(0)
		if s.jitter.Load() {
			wait = rand.N(pause)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

func (s *sidecar) stream(ctx context.Context) error {
	connection, lines, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	var state protocol.State
	for {
		if err := connection.SetReadDeadline(time.Now().Add(attempting)); err != nil {
			return err
		}
		message, err := protocol.ReadToSidecar(lines)
		if err != nil {
			return err
		}
		changed, err := state.Apply(message)
		if err != nil {
			return err
		}
		now := time.Now()
		if changed && message.Snapshot != nil {
			s.since.Store(now.UnixNano())
		}
		if message.Delta != nil {
			s.note(message.Delta, now)
		}
		if changed || message.Heartbeat != nil && state.Complete {
			if err := say(connection, protocol.ToServer{Ack: &state.Version}); err != nil {
				return err
			}
		}
	}
}

// connect is what sidecar/peers does, from a given address.
func (s *sidecar) connect(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	ctx, cancel := context.WithTimeout(ctx, attempting)
	defer cancel()
	dialer := net.Dialer{LocalAddr: s.source}
	plain, err := dialer.DialContext(ctx, "tcp", *s.server.Load())
	if err != nil {
		return nil, nil, err
	}
	connection := tls.Client(&counted{plain, &s.received}, &tls.Config{RootCAs: s.roots, ServerName: serverName, MinVersion: tls.VersionTLS13})
	defer context.AfterFunc(ctx, func() { _ = plain.SetDeadline(time.Now()) })()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n",
		protocol.PeersPath, serverName, s.token, protocol.Upgrade)
	lines := bufio.NewReader(connection)
	if _, err = connection.Write([]byte(request)); err == nil {
		var code int
		if code, err = dial.ReadStatus(lines); err == nil && code != 101 {
			err = fmt.Errorf("the feed answers %d", code)
		}
	}
	if err == nil {
		err = say(connection, protocol.ToServer{Hello: &protocol.Hello{Addresses: []netip.Addr{s.pod.address}}})
	}
	if err != nil {
		_ = plain.Close()
		return nil, nil, err
	}
	return connection, lines, nil
}

func say(to net.Conn, message protocol.ToServer) error {
	line, err := protocol.Encode(message)
	if err != nil {
		return err
	}
	_, err = to.Write(line)
	return err
}

func (s *sidecar) note(d *protocol.Delta, now time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, address := range d.Remove {
		s.heard = append(s.heard, heard{address, false, now})
	}
	for _, address := range d.Add {
		s.heard = append(s.heard, heard{address, true, now})
	}
}

// counted counts what is read of a connection: records of TLS, with what is around them.
type counted struct {
	net.Conn
	received *atomic.Int64
}

func (c *counted) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	c.received.Add(int64(n))
	return n, err
}
