//go:build linux

package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long a packet that should arrive may take.
	patience = 2 * time.Second
	// silence is how long nothing must arrive to call it stopped.
	silence = 250 * time.Millisecond
)

// reached says whether a payload sent by send arrives at a listener in the
// namespace. It is patient if the packet is expected.
func reached(t testing.TB, at *namespace, listen func() (receiver, error), send func(payload []byte) error, expected bool) bool {
	t.Helper()
	var socket receiver
	at.must(t, func() error {
		return unused(func() (err error) {
			socket, err = listen()
			return err
		})
	})
	payload := fmt.Appendf(nil, "bulkhead %d", time.Now().UnixNano())
	wait := silence
	if expected {
		wait = patience
	}
	deadline := time.Now().Add(wait)
	if err := socket.SetReadDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	arrived := make(chan bool, 1)
	defer func() {
		_ = socket.Close()
		<-arrived // the port is free only when nobody reads any longer
	}()
	go func() {
		defer close(arrived)
		buffer := make([]byte, 1<<16)
		for {
			n, err := socket.Read(buffer)
			if err != nil {
				arrived <- false
				return
			}
			if contains(buffer[:n], payload) {
				arrived <- true
				return
			}
		}
	}()
	// Once more in a while: the first packet may be lost to neighbour discovery.
	for {
		err := send(payload)
		if errors.Is(err, unix.EPERM) && !expected {
			return false // refused by the sender's own rules
		}
		if err != nil && !soft(err) {
			t.Fatalf("send: %v", err)
		}
		select {
		case yes := <-arrived:
			return yes
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// soft are errors of a packet that did not get through.
func soft(err error) bool {
	for _, kind := range []error{unix.EPERM, unix.EHOSTUNREACH, unix.ECONNREFUSED, unix.ENETUNREACH, unix.EACCES, unix.EMSGSIZE, os.ErrDeadlineExceeded} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

func contains(haystack, needle []byte) bool {
	for i := 0; i+len(needle) <= len(haystack); i++ {
		if string(haystack[i:i+len(needle)]) == string(needle) {
			return true
		}
	}
	return false
}

// unused listens once more while the port is still taken: a closed socket lives on
// for a moment in a child that another test has forked and that has not yet become
// another program.
func unused(listen func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err := listen(); !errors.Is(err, unix.EADDRINUSE) || time.Now().After(deadline) {
			return err
		}
	}
}

type receiver interface {
	Read([]byte) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// listenUDP listens on all addresses, or on one.
func listenUDP(addr netip.Addr, port uint16) func() (receiver, error) {
	return func() (receiver, error) {
		return net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, port)))
	}
}

// sendUDP sends one datagram.
func sendUDP(from *namespace, to netip.AddrPort) func([]byte) error {
	return func(payload []byte) error {
		return from.Do(func() error {
			conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = conn.Write(payload)
			return err
		})
	}
}

// udp says whether a datagram passes from one namespace to an address of another.
func udp(t testing.TB, from, to *namespace, addr netip.Addr, expected bool) bool {
	t.Helper()
	const port = 7000
	return reached(t, to, listenUDP(unspecified(addr), port), sendUDP(from, netip.AddrPortFrom(addr, port)), expected)
}

func unspecified(addr netip.Addr) netip.Addr {
	if addr.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// tcp says whether a connection to a port can be opened and carries data back.
func tcp(t testing.TB, from, to *namespace, addr netip.Addr, port uint16, expected bool) bool {
	t.Helper()
	defer to.greet(t, port)()
	return dial(from, netip.AddrPortFrom(addr, port), expected) == nil
}

// greet listens on a TCP port of all addresses and says hello to who connects,
// until the function that it returns is called.
func (n *namespace) greet(t testing.TB, port uint16) (stop func()) {
	t.Helper()
	var listener net.Listener
	n.must(t, func() error {
		return unused(func() (err error) {
			listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: int(port)})
			return err
		})
	})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("hello"))
			_ = conn.Close()
		}
	}()
	return func() {
		_ = listener.Close()
		<-ended
	}
}

// dial opens a connection and reads a byte.
func dial(from *namespace, to netip.AddrPort, expected bool) error {
	return dialFrom(from, netip.AddrPortFrom(unspecified(to.Addr()), 0), to, expected)
}

// dialFrom opens it from an address and port that may just have been in use.
func dialFrom(n *namespace, from, to netip.AddrPort, expected bool) error {
	wait := silence
	if expected {
		wait = patience
	}
	reuse := func(_, _ string, conn syscall.RawConn) error {
		var failed error
		err := conn.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		})
		return errors.Join(err, failed)
	}
	return n.Do(func() error {
		dialer := net.Dialer{Timeout: wait, LocalAddr: net.TCPAddrFromAddrPort(from), Control: reuse}
		conn, err := dialer.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1))
		return err
	})
}

// listenRaw receives an IP protocol as it comes out of the INPUT chain.
func listenRaw(family, protocol int) func() (receiver, error) {
	return func() (receiver, error) {
		fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		if err != nil {
			return nil, err
		}
		return os.NewFile(uintptr(fd), "raw"), nil
	}
}

// sendRaw sends the payload behind a header, as an IP protocol.
func sendRaw(from *namespace, to netip.Addr, protocol int, header []byte) func([]byte) error {
	family := unix.AF_INET
	if to.Is6() {
		family = unix.AF_INET6
	}
	return sendSocket(from, family, unix.SOCK_RAW, protocol, netip.AddrPortFrom(to, 0), header)
}

// sendSocket sends the payload behind a header on a new socket, with options set.
func sendSocket(from *namespace, family, kind, protocol int, to netip.AddrPort, header []byte, options ...func(fd int) error) func([]byte) error {
	return func(payload []byte) error {
		return from.Do(func() error {
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			for _, option := range options {
				if err := option(fd); err != nil {
					return err
				}
			}
			return unix.Sendto(fd, append(append([]byte{}, header...), payload...), 0, sockaddr(to))
		})
	}
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	zone := uint32(0)
	if to.Addr().Zone() != "" {
		link, err := net.InterfaceByName(to.Addr().Zone())
		if err == nil {
			zone = uint32(link.Index)
		}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16(), ZoneId: zone}
}
