//go:build linux

package netns

import (
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/tests/fakefeed"
)

// peered brings up alice1's sidecar with alice2 as peer, by a lease.
func (l *lab) peered(t testing.TB, f *feed, c *config.Config, lease time.Duration) (*sidecar, *fakefeed.View) {
	t.Helper()
	view := f.View(c.Tenant)
	view.Tell(snapshot(lease, append(l.alice1.both(), l.alice2.both()...)...))
	s := l.alice1.run(t, c)
	acked(t, view, 1)
	return s, view
}

// hears says whether a datagram of alice2's arrives at alice1.
func (l *lab) hears(t testing.TB, want bool) bool {
	t.Helper()
	return udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, want)
}

// TestFeedGone is what becomes of peers without the feed: nothing within the lease;
// past it nobody new, and what is established and outside as the configuration says; all
// of it again when the feed is back. Probes pass always.
func TestFeedGone(t *testing.T) {
	needs(t)
	t.Run("within the lease", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		f := l.feed(t)
		s, view := l.peered(t, f, f.identity("alice"), long)
		flow := l.flow(t, l.alice2, l.alice1, l.alice1.ipv4)
		f.Close()
		s.says(t, "the stream of peers has ended")
		if !flow(true) || !l.hears(t, true) {
			t.Error("a peer is cut off within the lease")
		}
		version := view.Remove(l.alice2.both()...) // heard of when the feed is back
		f.listen(t)
		acked(t, view, version)
		if flow(false) || l.hears(t, false) {
			t.Error("who was a peer before the feed went is one when it is back")
		}
	})
	for name, end := range map[string]config.WhenFeedGone{"keep": config.Keep, "close": config.Close} {
		t.Run("past the lease, "+name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			f := l.feed(t)
			c := f.identity("alice")
			c.WhenFeedGone = end
			s, view := l.peered(t, f, c, long)
			in, out := l.flow(t, l.alice2, l.alice1, l.alice1.ipv4), l.flow(t, l.alice1, l.alice2, l.alice2.ipv6)
			acked(t, view, view.Tell(snapshot(short, append(l.alice1.both(), l.alice2.both()...)...)))
			f.Close()
			s.says(t, "gone for longer than its lease")
			if !eventually(func() bool { return !l.hears(t, false) }) {
				t.Error("datagrams of a peer pass past the lease")
			}
			if tcp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, 7100, false) || tcp(t, l.alice1.namespace, l.alice2.namespace, l.alice2.ipv6, 7100, false) {
				t.Error("a connection begins past the lease")
			}
			if kept := end == config.Keep; in(kept) != kept || out(kept) != kept {
				t.Errorf("established connections: want kept %v", kept)
			}
			if want := end == config.Keep; udp(t, l.alice1.namespace, l.world, l.worldIPv4, want) != want {
				t.Errorf("the outside: want open %v", want)
			}
			if !tcp(t, l.node, l.alice1.namespace, l.alice1.ipv4, probePort, true) {
				t.Error("the kubelet's probe does not pass")
			}
			view.Tell(snapshot(long, append(l.alice1.both(), l.alice2.both()...)...))
			f.listen(t)
			s.says(t, "the feed is back")
			if !eventually(func() bool { return l.hears(t, true) }) || !tcp(t, l.alice1.namespace, l.alice2.namespace, l.alice2.ipv6, 7100, true) {
				t.Error("peers are not back with the feed")
			}
		})
	}
}

// TestServerThatMisbehaves holds that whatever a feed sends, sets stay as they were, and
// nobody is let in by it.
func TestServerThatMisbehaves(t *testing.T) {
	needs(t)
	const switching = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
	good := `{"snapshot":{"version":1,"leaseMilliseconds":3600000,"cluster":{"pods":["172.16.0.0/16"],"services":["10.96.0.0/12"]},"peers":["172.16.2.10"]`
	for name, said := range map[string]string{
		"no HTTP":             strings.Repeat("hello ", 10_000),
		"no stream":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + good + "}}\n",
		"refused":             "HTTP/1.1 403 Forbidden\r\n\r\n" + good + "}}\n",
		"not JSON":            switching + "hello\n",
		"unknown field":       switching + good + `,"enforce":false}}` + "\n",
		"cut off":             switching + good,
		"never whole":         switching + good + `,"more":true}}` + "\n",
		"too long a line":     switching + good + strings.Repeat(" ", 2<<20) + "}}\n",
		"a delta of nothing":  switching + `{"delta":{"version":1,"add":["172.16.2.10"]}}` + "\n",
		"everything is a pod": switching + strings.Replace(good, "172.16.0.0/16", "0.0.0.0/0", 1) + "}}\n",
		"stalls":              switching,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			f := l.feed(t)
			if !reachesIPv4(t, l, true) {
				t.Fatal("the attack does not work without rules: this test proves nothing")
			}
			_, view := l.peered(t, f, f.identity("alice"), long)
			answered := make(chan struct{}, 1000)
			view.Script(func(connection net.Conn) {
				_, _ = connection.Write([]byte(said))
				select {
				case answered <- struct{}{}:
				default:
				}
				_, _ = connection.Read(make([]byte, 1<<10)) // its first line
				if name == "stalls" || name == "never whole" {
					_, _ = connection.Read(make([]byte, 1)) // until it gives up
				}
			})
			view.Cut()
			<-answered
			if name != "stalls" && name != "never whole" {
				<-answered // it came again, so it has taken all of the first
			}
			if reachesIPv4(t, l, false) {
				t.Error("bob is let in")
			}
			if !l.hears(t, true) {
				t.Error("a peer is cut off")
			}
		})
	}
	t.Run("another certificate", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		f := l.feed(t)
		impostor, err := fakefeed.New()
		if err != nil {
			t.Fatal(err)
		}
		c := f.identity("alice")
		c.Feed.CA = impostor.CA()
		f.View("alice").Tell(snapshot(long, l.bob.both()...))
		s := l.alice1.run(t, c)
		s.says(t, "certificate signed by unknown authority")
		if reachesIPv4(t, l, false) || udp(t, l.alice1.namespace, l.world, l.worldIPv4, false) {
			t.Error("the pod is open")
		}
	})
}

// TestRestartAdopts holds that a sidecar which starts again while the feed is gone leaves
// its former life's peers alone for what is left of the lease that this was told, and then
// closes; at once if it is over.
func TestRestartAdopts(t *testing.T) {
	needs(t)
	for name, over := range map[string]bool{"some of the lease is left": false, "the lease is over": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			f := l.feed(t)
			s, view := l.peered(t, f, f.identity("alice"), long)
			flow := l.flow(t, l.alice2, l.alice1, l.alice1.ipv4)
			if err := s.ends(t, syscall.SIGKILL); err == nil {
				t.Error("killed without an error")
			}
			f.Close()
			const members = "ipset save | grep '^add' | grep -v timeout || true"
			before := l.alice1.sh(t, members)
			s = l.alice1.run(t, f.identity("alice"))
			s.says(t, "the stream of peers has ended")
			if after := l.alice1.sh(t, members); before == "" || after != before {
				t.Errorf("the start changed sets:\n%s\nto\n%s", before, after)
			}
			if !flow(true) || reachesIPv4(t, l, false) {
				t.Error("a peer is cut off by the start, or a stranger let in")
			}
			if err := s.ends(t, syscall.SIGKILL); err == nil {
				t.Error("killed without an error")
			}
			// As if most of an hour had gone by.
			l.alice1.sh(t, "ipset add -exist bulkhead-lease 127.0.0.1 timeout 2")
			if over && !eventually(func() bool { return !strings.Contains(l.alice1.sh(t, "ipset save bulkhead-lease"), "add") }) {
				t.Fatal("the lease does not end")
			}
			l.alice1.run(t, f.identity("alice"))
			if !eventually(func() bool { return l.alice1.sh(t, members) == "" }) || flow(false) {
				t.Error("what was found counts for longer than the lease that was told")
			}
			view.Tell(snapshot(long, append(l.alice1.both(), l.alice2.both()...)...))
			f.listen(t)
			acked(t, view, 2)
			if !l.hears(t, true) {
				t.Error("peers are not back with the feed")
			}
		})
	}
}

// TestOthersServicesAndExposedAddresses are S1 and S2 at the sender: a ClusterIP, a node
// and a load balancer's address that are another tenant's are reached without rules and
// not with them, by an emptied set neither, and what is public stays.
func TestOthersServicesAndExposedAddresses(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	f := l.feed(t)
	others, balancer := netip.MustParseAddr("10.96.0.50"), netip.MustParseAddr("203.0.113.50")
	own := netip.MustParseAddr("10.96.0.51")
	l.bob.sh(t, "ip addr add 10.96.0.50/32 dev eth0; ip addr add 203.0.113.50/32 dev eth0")
	l.alice2.sh(t, "ip addr add 10.96.0.51/32 dev eth0")
	l.node.sh(t, "ip route add 10.96.0.50 via 172.16.2.10; ip route add 203.0.113.50 via 172.16.2.10; ip route add 10.96.0.51 via 172.16.1.11")
	reaches := func(at *namespace, addr netip.Addr, want bool) {
		t.Helper()
		if got := udp(t, l.alice1.namespace, at, addr, want); got != want {
			t.Errorf("alice1 to %s: %v", addr, got)
		}
	}
	// The node answers at addresses that no list names.
	onLink := netip.MustParseAddr("169.254.20.10")
	l.node.sh(t, "ip addr add 169.254.20.10/32 dev lo")
	resolves := func(want bool) {
		t.Helper()
		listen := func() (receiver, error) { return net.ListenUDP("udp4", &net.UDPAddr{Port: 53}) }
		if got := reached(t, l.node, listen, sendUDP(l.alice1.namespace, netip.AddrPortFrom(onLink, 53)), want); got != want {
			t.Errorf("the node's cache of DNS: %v", got)
		}
	}
	reaches(l.bob.namespace, others, true)
	reaches(l.bob.namespace, balancer, true)
	reaches(l.node, l.nodeIPv4, true)
	reaches(l.node, onLink, true)

	view := f.View("alice")
	told := snapshot(long, append(l.alice1.both(), own)...)
	told.Denied = []netip.Addr{balancer}
	view.Tell(told)
	s := l.alice1.run(t, f.identity("alice"))
	acked(t, view, 1)
	for range 2 {
		reaches(l.bob.namespace, others, false)
		reaches(l.bob.namespace, balancer, false)
		reaches(l.node, l.nodeIPv4, false)
		reaches(l.node, onLink, false)
		resolves(true)
		reaches(l.alice2.namespace, own, true)
		reaches(l.world, l.worldIPv4, true)
		for _, set := range []string{"outside", "nodes", "peers"} {
			l.alice1.sh(t, "ipset flush bulkhead-"+set+"-4")
			s.says(t, "tampered with and repaired", "set bulkhead-"+set+"-4")
		}
	}
	if err := s.ends(t, syscall.SIGKILL); err == nil {
		t.Error("killed without an error")
	}
	for _, set := range []string{"outside", "nodes", "peers", "kept"} {
		l.alice1.sh(t, "ipset flush bulkhead-"+set+"-4")
	}
	resolves(false)
	for at, addr := range map[*namespace]netip.Addr{l.bob.namespace: balancer, l.node: l.nodeIPv4, l.world: l.worldIPv4, l.alice2.namespace: own} {
		reaches(at, addr, false)
	}
}
