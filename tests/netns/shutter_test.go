//go:build linux

package netns

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/xfrm"
)

// shutter is the pod's.
func (p *pod) shutter(t testing.TB) (shut, open func()) {
	t.Helper()
	var s *xfrm.Shutter
	p.must(t, func() (err error) {
		s, err = xfrm.Find()
		return err
	})
	if s == nil {
		t.Skip("the kernel has no default IPsec policy (CONFIG_XFRM_USER, 5.15)")
	}
	return func() { p.must(t, s.Shut) }, func() { p.must(t, s.Open) }
}

// TestShutterStopsEveryAttack holds that no attack which rules stop passes the shutter,
// in a pod without any rules, and that all is as before when it is open again.
func TestShutterStopsEveryAttack(t *testing.T) {
	needs(t)
	for name, attack := range attacks() {
		for side, of := range map[string]struct {
			stops bool
			pod   func(*lab) *pod
		}{
			"victim":   {attack.byVictim, func(l *lab) *pod { return l.alice1 }},
			"attacker": {attack.byAttacker, func(l *lab) *pod { return l.bob }},
		} {
			if !of.stops {
				continue
			}
			t.Run(name+", shutter of the "+side, func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				if attack.prepare != nil {
					attack.prepare(t, l)
				}
				shut, open := of.pod(l).shutter(t)
				if !attack.reaches(t, l, true) {
					t.Fatal("the attack does not work without the shutter: this test proves nothing")
				}
				shut()
				if attack.reaches(t, l, false) {
					t.Error("the attack passes the shutter")
				}
				open()
				if !attack.reaches(t, l, true) {
					t.Error("the shutter is open, and nothing passes")
				}
			})
		}
	}
}

// TestShutterStopsFlows holds that connections which stand do not pass either, for which
// the kernel remembers the route, and go on afterwards.
func TestShutterStopsFlows(t *testing.T) {
	needs(t)
	for name, of := range map[string]func(*pod) netip.Addr{
		"IPv4": func(p *pod) netip.Addr { return p.ipv4 },
		"IPv6": func(p *pod) netip.Addr { return p.ipv6 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, p := range []*pod{l.alice1, l.alice2} { // who accepts, who connects
				shut, open := p.shutter(t)
				echoes := l.flow(t, l.alice2, l.alice1, of(l.alice1))
				shut()
				if echoes(false) {
					t.Errorf("the connection passes the shutter of %s", p.Name)
				}
				open()
				if !eventually(func() bool { return echoes(true) }) {
					t.Errorf("the connection did not outlive the shutter of %s", p.Name)
				}
			}
		})
	}
}

// TestShutterIsOpenedByTheNextStart: a sidecar may be killed behind the shutter, with
// the rules whole or not.
func TestShutterIsOpenedByTheNextStart(t *testing.T) {
	needs(t)
	for name, before := range map[string]string{"whole": "true", "flushed": "iptables-nft -P INPUT ACCEPT; iptables-nft -F", "nothing left": "nft flush ruleset"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.alice1.protect(t, alice())
			shut, _ := l.alice1.shutter(t)
			l.alice1.sh(t, before)
			if opens := before != "true"; reachesIPv4(t, l, opens) != opens {
				t.Fatalf("the tampering opens the pod: %v, want %v", !opens, opens)
			}
			shut()
			if reachesIPv4(t, l, false) || udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) {
				t.Error("the pod is open")
			}
			l.alice1.protect(t, alice())
			if reachesIPv4(t, l, false) {
				t.Error("bob reaches alice1")
			}
			l.passes(t)
		})
	}
}

// TestSidecarUsesTheShutter holds that the sidecar, with the two capabilities that it has
// in a pod, shuts and opens at a tampering: the kernel tells of each.
func TestSidecarUsesTheShutter(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	l.alice1.shutter(t)
	var events *nl.NetlinkSocket
	l.alice1.must(t, func() (err error) {
		const policies = 4 // XFRMNLGRP_POLICY
		events, err = nl.Subscribe(unix.NETLINK_XFRM, policies)
		return err
	})
	t.Cleanup(events.Close)
	if err := events.SetReceiveTimeout(&unix.Timeval{Sec: 15}); err != nil {
		t.Fatal(err)
	}
	told := func(policy byte) {
		t.Helper()
		messages, _, err := events.Receive()
		if err != nil || len(messages) != 1 || len(messages[0].Data) < 3 {
			t.Fatalf("told %v, %v", messages, err)
		}
		if got := [3]byte(messages[0].Data[:3]); got != [3]byte{policy, policy, policy} {
			t.Errorf("the default policies are %v, want all %d", got, policy)
		}
	}
	const block, accept = 1, 2 // linux/xfrm.h
	s := l.alice1.run(t, alice())
	told(block)
	told(accept)
	s.says(t, "rules brought in")
	l.alice1.sh(t, "iptables-nft -F")
	told(block)
	s.says(t, "tampered")
	told(accept)
}

// TestFlushedDuringRepair holds that the pod stays closed when somebody flushes the
// ruleset, guard and all, once more while it is repaired.
func TestFlushedDuringRepair(t *testing.T) {
	needs(t, "nft")
	for _, shutter := range []bool{true, false} {
		t.Run(fmt.Sprintf("shutter %v", shutter), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.alice1.shutter(t)
			l.alice1.protect(t, alice())
			l.alice1.sh(t, "nft flush ruleset")
			flushed := false
			err := l.alice1.ensure(t, apply.NFTables, alice(), &failing{}, func(a *apply.Applier) {
				a.Kernel = flushing{a.Kernel, func() {
					flushed = true
					l.alice1.sh(t, "nft flush ruleset")
					if open := reachesIPv4(t, l, !shutter); open == shutter {
						t.Errorf("bob gets through: %v", open)
					}
				}}
				if !shutter {
					a.Shutter = nil
				}
			})
			if !flushed || err == nil {
				t.Errorf("flushed: %v; ended with %v", flushed, err)
			}
			if reachesIPv4(t, l, false) || udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) {
				t.Error("open after the failure")
			}
			l.alice1.protect(t, alice())
			if reachesIPv4(t, l, false) {
				t.Error("bob reaches alice1")
			}
			l.passes(t)
		})
	}
}

// flushing is a kernel whose ruleset somebody flushes just before the guard is lifted.
type flushing struct {
	apply.Kernel
	flush func()
}

func (f flushing) Lift(generation uint32) (uint32, error) {
	f.flush()
	return f.Kernel.Lift(generation)
}
