//go:build linux

package netns

import (
	"net/netip"
	"testing"

	feedprotocol "github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// TestIdentity is addressing by identity from the first rule on: nothing but probes
// before the feed has told, then exactly who is told of, in both families, and a peer
// that is none any longer is cut off at its next packet (P8, S7).
func TestIdentity(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	f := l.feed(t)
	view := f.View("alice")
	passes := func(who *pod, want bool) {
		t.Helper()
		for i, addr := range l.alice1.both() {
			if got := udp(t, who.namespace, l.alice1.namespace, addr, want); got != want {
				t.Errorf("%s to %s: %v", who.Name, addr, got)
			}
			if got := udp(t, l.alice1.namespace, who.namespace, who.both()[i], want); got != want {
				t.Errorf("%s to %s: %v", addr, who.Name, got)
			}
		}
	}
	outside := func(want bool) {
		t.Helper()
		for _, addr := range []netip.Addr{l.worldIPv4, l.worldIPv6} {
			if got := udp(t, l.alice1.namespace, l.world, addr, want); got != want {
				t.Errorf("alice1 to %s: %v", addr, got)
			}
		}
	}
	probed := func() {
		t.Helper()
		if !tcp(t, l.node, l.alice1.namespace, l.alice1.ipv4, probePort, true) {
			t.Error("the kubelet's probe does not pass")
		}
	}
	passes(l.alice2, true)
	passes(l.bob, true)
	outside(true)

	l.alice1.protect(t, f.identity("alice")) // held: it waits in vain
	passes(l.alice2, false)
	passes(l.bob, false)
	passes(l.dns, false)
	outside(false)
	probed()

	s := l.alice1.run(t, f.identity("alice"))
	s.says(t, "lets this pod wait for its peers")
	view.Tell(snapshot(long, append(l.alice1.both(), l.alice2.both()...)...))
	acked(t, view, 1)
	passes(l.alice2, true)
	passes(l.bob, false)
	passes(l.dns, false)
	outside(true)
	probed()
	flow := l.flow(t, l.alice2, l.alice1, l.alice1.ipv4)
	acked(t, view, view.Remove(l.alice2.both()...))
	if flow(false) {
		t.Error("the former peer's connection lives on")
	}
	passes(l.alice2, false)
	outside(true)
	acked(t, view, view.Change(feedprotocol.Delta{Add: l.dns.both()}))
	passes(l.dns, true)
	passes(l.alice2, false)
}
