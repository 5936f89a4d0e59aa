//go:build linux

package netns

import (
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/bulkhead-dev/bulkhead/tests/fakefeed"
)

var reuseFor = flag.Duration("reuse-for", 30*time.Second, "how long TestReuseOfAnAddress hands its address on")

// reused is the address that changes hands.
const reused = "172.16.1.77"

// TestReuseOfAnAddress is S7: an address goes from a pod of the one tenant to a new pod
// of the other as fast as pods can be made, and back. All the time its holder sends to
// the peers of either tenant, and they send to it. What arrives is its own tenant's,
// always; and every new pod gets through to its own.
func TestReuseOfAnAddress(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	// Or it would take the lowest of its ports', which come and go, and be looked for
	// where it was.
	l.node.sh(t, "ip link set br0 address 02:00:00:00:00:01")
	f := l.feed(t)
	x := netip.MustParseAddr(reused)
	tenants := []*reuser{{name: "alice", peer: l.alice1}, {name: "bob", peer: l.bob}}

	// Without rules the holder reaches both, and both reach it.
	p := l.holder(t, 0)
	for _, own := range tenants {
		if !udp(t, p.namespace, own.peer.namespace, own.peer.ipv4, true) || !udp(t, own.peer.namespace, p.namespace, x, true) {
			t.Fatal("the attack does not work without rules: this test proves nothing")
		}
	}
	l.end(t, p)

	for _, own := range tenants {
		own.view = f.View(own.name)
		own.view.Tell(snapshot(long, own.peer.both()...))
		own.peer.run(t, f.identity(own.name))
		acked(t, own.view, 1)
		own.counts = count(t, own.peer, own.peer.ipv4)
		own.shots = shoot(t, own.peer.namespace, own.name, x)
	}
	duration := *reuseFor
	if testing.Short() {
		duration = 3 * time.Second
	}
	var outward, inward int64 // attempts across: of the holder, and on it
	var waits, inits []time.Duration
	turn := 1
	for deadline := time.Now().Add(duration); time.Now().Before(deadline); turn++ {
		own, other := tenants[turn%2], tenants[1-turn%2]
		fired := other.shots.fired.Load()
		name := fmt.Sprintf("x%d", turn)
		p := l.holder(t, turn)
		started := time.Now()
		ready := make(chan error, 1)
		go func() { // it is held until the others have let go
			_, err := p.init(t, f.identity(name))
			ready <- err
		}()
		acked(t, other.view, other.view.Remove(x))
		f.View(name).Tell(snapshot(long, append(own.peer.both(), x)...))
		own.view.Add(x)
		if err := <-ready; err != nil {
			t.Fatal(err)
		}
		inits = append(inits, time.Since(started))
		before := own.counts.of(own.name).Load()
		hears := count(t, p, x)
		fair, foul := shoot(t, p.namespace, own.name, own.peer.ipv4), shoot(t, p.namespace, own.name, other.peer.ipv4)
		begun := time.Now()
		if !eventually(func() bool { return own.counts.of(own.name).Load() > before && hears.of(own.name).Load() > 0 }) {
			t.Fatalf("turn %d: %s does not get through to its own", turn, own.name)
		}
		waits = append(waits, time.Since(begun))
		fair.end()
		foul.end()
		hears.end()
		outward += foul.fired.Load()
		inward += other.shots.fired.Load() - fired
		if wrong := hears.of(other.name).Load(); wrong > 0 {
			t.Fatalf("turn %d: %d packets of %s reached the address that is %s's", turn, wrong, other.name, own.name)
		}
		l.end(t, p)
		if wrong := tenants[0].counts.of("bob").Load() + tenants[1].counts.of("alice").Load(); wrong > 0 {
			t.Fatalf("turn %d: %d packets came through", turn, wrong)
		}
	}
	slices.Sort(waits)
	slices.Sort(inits)
	t.Logf("%d turns; %d attempts of the new holder on the old one's peers and %d of theirs on it, none came through; bulkhead-init with its wait p50 %s, p99 %s; then to the first packet both ways p50 %s, p99 %s",
		len(waits), outward, inward, inits[len(inits)/2], inits[len(inits)*99/100], waits[len(waits)/2], waits[len(waits)*99/100])
	if len(waits) < 5 {
		t.Errorf("only %d turns: the test is too slow to prove anything", len(waits))
	}
}

// reuser is a tenant, with a pod of its own.
type reuser struct {
	name   string
	peer   *pod
	view   *fakefeed.View
	counts *counts
	shots  *shots
}

// holder makes a pod with the address, always behind the same MAC: nothing may be lost to
// what others remember of the last one.
func (l *lab) holder(t testing.TB, turn int) *pod {
	t.Helper()
	p := l.pod(t, fmt.Sprintf("x%d", turn), reused+"/24", "", "172.16.1.1", "")
	p.sh(t, "ip link set eth0 down; ip link set eth0 address 02:00:00:00:00:77; ip link set eth0 up; ip route replace default via 172.16.1.1")
	return p
}

// end takes a pod off the bridge.
func (l *lab) end(t testing.TB, p *pod) {
	t.Helper()
	l.node.must(t, func() error {
		port, err := netlink.LinkByName("p-" + p.Name)
		if err != nil {
			return err
		}
		return netlink.LinkDel(port)
	})
	_ = p.Close() // and again by the test's end, which does not matter
}

// counts are the datagrams that arrived somewhere, by whose they are.
type counts struct {
	alice, bob atomic.Int64
	end        func()
}

func (c *counts) of(tenant string) *atomic.Int64 {
	if tenant == "alice" {
		return &c.alice
	}
	return &c.bob
}

// count counts what arrives at a pod's address.
func count(t testing.TB, p *pod, addr netip.Addr) *counts {
	t.Helper()
	var socket *net.UDPConn
	p.must(t, func() error {
		return unused(func() (err error) {
			socket, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 7777)))
			return err
		})
	})
	done := make(chan struct{})
	c := &counts{end: func() { _ = socket.Close(); <-done }}
	t.Cleanup(c.end)
	go func() {
		defer close(done)
		payload := make([]byte, 64)
		for {
			n, err := socket.Read(payload)
			if err != nil {
				return
			}
			c.of(string(payload[:n])).Add(1)
		}
	}()
	return c
}

// shots are sent without a pause until they end, by the function or with the test.
type shots struct {
	fired atomic.Int64 // those that the firewall refused to the sender too
	end   func()
}

// shoot sends a tenant's name to an address.
func shoot(t testing.TB, from *namespace, tenant string, to netip.Addr) *shots {
	t.Helper()
	var socket net.Conn
	from.must(t, func() (err error) {
		socket, err = net.Dial("udp", netip.AddrPortFrom(to, 7777).String())
		return err
	})
	done := make(chan struct{})
	s := &shots{end: func() { _ = socket.Close(); <-done }}
	t.Cleanup(s.end)
	go func() {
		defer close(done)
		for {
			for range 5 {
				if _, err := socket.Write([]byte(tenant)); err != nil && !soft(err) {
					return
				}
				s.fired.Add(1)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	return s
}
