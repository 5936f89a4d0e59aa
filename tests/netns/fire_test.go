//go:build linux

package netns

import (
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// fire are two streams of datagrams from bob to alice1, one of each family.
type fire struct{ shots, hits4, hits6 atomic.Int64 }

func (f *fire) hits() int64 { return f.hits4.Load() + f.hits6.Load() }

func (f *fire) reset() { f.hits4.Store(0); f.hits6.Store(0) }

func (l *lab) fire(t testing.TB) *fire {
	t.Helper()
	// No packet may be lost to neighbour discovery, which a guard stops too.
	l.node.sh(t, fmt.Sprintf("for address in %s %s; do ip neigh replace $address lladdr %s dev br0 nud permanent; done", l.alice1.ipv4, l.alice1.ipv6, l.alice1.mac))
	f := &fire{}
	f.stream(t, l, l.alice1.ipv4, &f.hits4)
	f.stream(t, l, l.alice1.ipv6, &f.hits6)
	return f
}

// stream shoots until the test ends.
func (f *fire) stream(t testing.TB, l *lab, addr netip.Addr, hits *atomic.Int64) {
	t.Helper()
	var in *net.UDPConn
	var out net.Conn
	to := netip.AddrPortFrom(addr, 7777)
	l.alice1.must(t, func() (err error) {
		in, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(to))
		return err
	})
	l.bob.must(t, func() (err error) {
		out, err = net.Dial("udp", to.String())
		return err
	})
	t.Cleanup(func() {
		_ = in.Close()
		_ = out.Close()
	})
	go func() {
		buffer := make([]byte, 64)
		for {
			if _, err := in.Read(buffer); err != nil {
				return
			}
			hits.Add(1)
		}
	}()
	go func() {
		for {
			for range 10 {
				if _, err := out.Write([]byte("shot")); err != nil && !soft(err) {
					return
				}
				f.shots.Add(1)
			}
			time.Sleep(time.Millisecond)
		}
	}()
}
