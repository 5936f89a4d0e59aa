//go:build linux

package netns

import (
	"net"
	"net/netip"
	"testing"
	"time"

	feedprotocol "github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// TestPublicPorts holds that anybody reaches a pod's public ports, nodes too, and no
// other port; that the pod answers from there and calls nobody; and that another pod's
// public ports change nothing here.
func TestPublicPorts(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	f := l.feed(t)
	view := f.View("alice")
	view.Tell(snapshot(long, l.alice1.both()...))
	c := f.identity("alice")
	c.Egress.External = config.Deny // or the world would reach all ports
	s := l.alice1.run(t, c)
	acked(t, view, 1)
	const public = 7200
	reaches := func(from *namespace, addr netip.Addr, port uint16, want bool) {
		t.Helper()
		if got := tcp(t, from, l.alice1.namespace, addr, port, want); got != want {
			t.Errorf("%s to %s port %d: %v", from.Name, addr, port, got)
		}
	}
	reaches(l.bob.namespace, l.alice1.ipv4, public, false)
	acked(t, view, view.Change(feedprotocol.Delta{AddOpen: []feedprotocol.Open{{Address: l.bob.ipv4, Protocol: "tcp", Port: public}}}))
	reaches(l.bob.namespace, l.alice1.ipv4, public, false)
	acked(t, view, view.Change(feedprotocol.Delta{AddOpen: l.public()}))
	s.says(t, "rules renewed")
	for _, addr := range l.alice1.both() {
		for _, from := range []*namespace{l.bob.namespace, l.node, l.world} {
			reaches(from, addr, public, true)
			reaches(from, addr, public+1, false)
		}
	}
	if !exchange(t, l.bob, l.alice1, public, true) {
		t.Error("no answer from a public port of UDP")
	}
	if exchange(t, l.bob, l.alice1, public+1, false) {
		t.Error("an answer from a port of UDP that is not public")
	}
	defer l.bob.greet(t, 7300)()
	if err := dialFrom(l.alice1.namespace, netip.AddrPortFrom(l.alice1.ipv4, public), netip.AddrPortFrom(l.bob.ipv4, 7300), false); err == nil {
		t.Error("a connection to another tenant begins at a public port")
	}
	acked(t, view, view.Change(feedprotocol.Delta{RemoveOpen: l.public()}))
	reaches(l.bob.namespace, l.alice1.ipv4, public, false)
	reaches(l.node, l.alice1.ipv4, public, false)
}

// exchange says whether a datagram to a port is answered.
func exchange(t *testing.T, from, to *pod, port uint16, expected bool) bool {
	t.Helper()
	defer to.echo(t, port)()
	return answered(t, from, netip.AddrPortFrom(to.ipv4, port), expected)
}

// echo answers datagrams until the function returned is called.
func (p *pod) echo(t *testing.T, port uint16) (stop func()) {
	t.Helper()
	var socket *net.UDPConn
	p.must(t, func() error {
		return unused(func() (err error) {
			socket, err = net.ListenUDP("udp4", &net.UDPAddr{Port: int(port)})
			return err
		})
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64)
		for {
			n, from, err := socket.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
	return func() { _ = socket.Close(); <-done }
}

// answered asks until there is an answer, or it was silent for long enough.
func answered(t *testing.T, from *pod, to netip.AddrPort, expected bool) bool {
	t.Helper()
	var socket net.Conn
	from.must(t, func() (err error) {
		socket, err = net.Dial("udp", to.String())
		return err
	})
	defer socket.Close()
	wait := silence
	if expected {
		wait = patience
	}
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		if _, err := socket.Write([]byte("hello")); err != nil && !soft(err) {
			t.Fatal(err)
		}
		_ = socket.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := socket.Read(make([]byte, 64)); err == nil {
			return true
		}
	}
	return false
}
