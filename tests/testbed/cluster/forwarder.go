package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// forwarder makes the API server, in the node's network, reachable on a loopback port of the machine: by this
// program, by helm, and by a person's kubectl. It is the only way in.
type forwarder struct {
	listener  net.Listener
	namespace *os.File
	target    string
	open      sync.WaitGroup
	ctx       context.Context
	cancel    context.CancelFunc
}

// startForwarder forwards to a port of the node's own loopback.
func startForwarder(pid, port int) (*forwarder, error) {
	namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(err, namespace.Close())
	}
	f := &forwarder{listener: listener, namespace: namespace, target: fmt.Sprintf("127.0.0.1:%d", port)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.open.Go(f.accept)
	return f, nil
}

func (f *forwarder) url() string { return "https://" + f.listener.Addr().String() }

func (f *forwarder) stop() error {
	f.cancel()
	err := f.listener.Close()
	f.open.Wait()
	return errors.Join(err, f.namespace.Close())
}

func (f *forwarder) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return // stopped
		}
		f.open.Go(func() {
			defer client.Close()
			server, err := f.dial()
			if err != nil {
				return // the client sees its connection closed, as by a server that is not up
			}
			defer server.Close()
			f.copy(client.(*net.TCPConn), server.(*net.TCPConn))
		})
	}
}

// copy passes bytes both ways until both ends are done, or the forwarder stops.
func (f *forwarder) copy(client, server *net.TCPConn) {
	defer context.AfterFunc(f.ctx, func() {
		client.Close()
		server.Close()
	})()
	var both sync.WaitGroup
	for _, pair := range [][2]*net.TCPConn{{client, server}, {server, client}} {
		both.Go(func() {
			// An error ends the connection, which is all that either end can be told.
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].CloseWrite()
		})
	}
	both.Wait()
}

// dial connects from inside the node's network namespace.
func (f *forwarder) dial() (conn net.Conn, err error) {
	err = within(f.namespace, func() error {
		conn, err = (&net.Dialer{}).DialContext(f.ctx, "tcp", f.target)
		return err
	})
	return conn, err
}

// within calls f on a thread in a network namespace: a socket belongs to the one it was made in.
func within(namespace *os.File, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread is in the wrong namespace for anybody else and ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// Listen opens a listening socket in the node's network, for a server that runs in this program: the API server
// reaches it under the node's addresses and 127.0.0.1, pods under the former.
func (c *Cluster) Listen(ctx context.Context, address string) (listener net.Listener, err error) {
	err = within(c.forward.namespace, func() error {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		return err
	})
	return listener, err
}

// Dial connects from the node's network.
func (c *Cluster) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = within(c.forward.namespace, func() error {
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
