//go:build linux

package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// maximumNoted bounds what a server remembers: anybody may send to it.
const maximumNoted = 10_000

// notes are the payloads that arrived.
type notes struct {
	mutex sync.Mutex
	from  map[string]string // source by payload
}

func (n *notes) add(payload, from string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if len(n.from) < maximumNoted {
		n.from[payload] = from
	}
}

func (n *notes) get(payload string) (string, bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	from, ok := n.from[payload]
	return from, ok
}

// idle does nothing until the context ends: it is for a container that others are to be run in.
func idle(ctx context.Context, _ attempt, _ []string) ([]Answer, error) {
	<-ctx.Done()
	return nil, nil
}

// serve answers and notes until the context ends.
func serve(ctx context.Context, a attempt, _ []string) ([]Answer, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	arrived := &notes{from: map[string]string{}}

	greet := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, Greeting(a.name))
	})
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, ok := arrived.get(r.FormValue("token"))
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		fmt.Fprint(w, from)
	})
	var servers []*http.Server
	for address, handler := range map[string]http.Handler{
		fmt.Sprintf(":%d", ServicePort):          greet,
		fmt.Sprintf(":%d", ReadyPort):            greet,
		fmt.Sprintf("127.0.0.1:%d", controlPort): tell,
	} {
		server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, server)
		go func() { stop(server.ListenAndServe()) }()
	}
	for _, port := range append(EncapsulationPorts(), DataPort) {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{Port: port})
		if err != nil {
			return nil, err
		}
		defer socket.Close()
		go arrived.collect(socket)
	}
	<-ctx.Done()
	for _, server := range servers {
		_ = server.Close()
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return nil, err
	}
	return nil, nil
}

// collect notes what a socket receives until it is closed.
func (n *notes) collect(socket *net.UDPConn) {
	buffer := make([]byte, 2048)
	for {
		length, from, err := socket.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			n.add(string(buffer[:length]), from.String())
		}
	}
}
