//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// pause is between two forbidden packets of a family.
const pause = 200 * time.Microsecond

// fire are forbidden packets of both families without pause, from a pod of another
// tenant, and which of them came through.
type fire struct {
	shots atomic.Int64
	stop  chan struct{}
	done  sync.WaitGroup

	mu   sync.Mutex
	hits []hit
}

// hit is a forbidden packet that came through: the how manieth of its family.
type hit struct {
	ipv6 bool
	shot uint64
	at   time.Time
}

// The other tenant's addresses, on the client's interface.
const (
	strangerIPv4 = "172.16.2.10"
	strangerIPv6 = "fd00:2::10"
)

// open shoots from the client of a pair at the server.
func openFire(p *pair) (*fire, error) {
	err := p.client.Do(func() error { return namespace.Address("eth0", strangerIPv4+"/32", strangerIPv6+"/128") })
	if err != nil {
		return nil, err
	}
	// No packet may be lost to neighbour discovery, which the guard stops too.
	if err := p.know(); err != nil {
		return nil, err
	}
	f := &fire{stop: make(chan struct{})}
	for from, to := range map[string]string{strangerIPv4: serverAddress, strangerIPv6: "fd00:1::11"} {
		if err := f.shoot(p, netip.MustParseAddr(from), netip.AddrPortFrom(netip.MustParseAddr(to), 7777)); err != nil {
			f.cease()
			return nil, err
		}
	}
	return f, nil
}

func (f *fire) shoot(p *pair, from netip.Addr, to netip.AddrPort) error {
	in, err := socket(p.server, netip.AddrPortFrom(to.Addr(), to.Port()))
	if err != nil {
		return err
	}
	out, err := socket(p.client, netip.AddrPortFrom(from, 0))
	if err != nil {
		return errors.Join(err, in.Close())
	}
	f.done.Go(func() {
		defer out.Close()
		defer in.Close() // ends the reader
		shot, number := make([]byte, 8), uint64(0)
		target := sockaddr(to)
		raw, err := out.SyscallConn()
		if err != nil {
			return
		}
		for {
			select {
			case <-f.stop:
				return
			case <-time.After(pause):
			}
			binary.BigEndian.PutUint64(shot, number)
			var sent error
			if err := raw.Control(func(fd uintptr) { sent = unix.Sendto(int(fd), shot, unix.MSG_DONTWAIT, target) }); err != nil {
				return
			}
			if sent == nil {
				number++
				f.shots.Add(1)
			}
		}
	})
	f.done.Go(func() {
		buffer := make([]byte, 64)
		for {
			if _, err := in.Read(buffer); err != nil {
				return
			}
			f.mu.Lock()
			f.hits = append(f.hits, hit{to.Addr().Is6(), binary.BigEndian.Uint64(buffer), time.Now()})
			f.mu.Unlock()
		}
	})
	return nil
}

// socket is a UDP socket of a namespace.
func socket(at *namespace.Namespace, bound netip.AddrPort) (*os.File, error) {
	family := unix.AF_INET
	if bound.Addr().Is6() {
		family = unix.AF_INET6
	}
	var file *os.File
	err := at.Do(func() error {
		fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		// A packet that finds no room would be taken for one that was dropped.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<22)
		file = os.NewFile(uintptr(fd), "udp")
		return unix.Bind(fd, sockaddr(bound))
	})
	return file, err
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// know makes the server the client's neighbour for good.
func (p *pair) know() error {
	var mac net.HardwareAddr
	err := p.server.Do(func() error {
		eth0, err := net.InterfaceByName("eth0")
		if err == nil {
			mac = eth0.HardwareAddr
		}
		return err
	})
	if err != nil {
		return err
	}
	_, err = p.client.Shell(fmt.Sprintf("for address in %s fd00:1::11; do ip neigh replace $address lladdr %s dev eth0 nud permanent; done", serverAddress, mac))
	return err
}

// taken are the hits since the last call.
func (f *fire) taken() []hit {
	f.mu.Lock()
	defer f.mu.Unlock()
	hits := f.hits
	f.hits = nil
	return hits
}

func (f *fire) cease() {
	close(f.stop)
	f.done.Wait()
}
