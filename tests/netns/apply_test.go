//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	feedprotocol "github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	podfacts "github.com/bulkhead-dev/bulkhead/sidecar/pod"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// failing is the real thing, but for one write.
type failing struct {
	writes, at int
}

var errInjected = errors.New("injected failure")

func (f *failing) next() error {
	f.writes++
	if f.writes == f.at {
		return fmt.Errorf("write %d: %w", f.writes, errInjected)
	}
	return nil
}

type failingTables struct {
	apply.Tables
	*failing
}

func (t failingTables) Restore(ctx context.Context, transaction string) error {
	if err := t.next(); err != nil {
		return err
	}
	return t.Tables.Restore(ctx, transaction)
}

type failingSets struct {
	apply.Sets
	*failing
}

func (s failingSets) Create(name string, ipv6 bool) error {
	if err := s.next(); err != nil {
		return err
	}
	return s.Sets.Create(name, ipv6)
}

func (s failingSets) Add(name string, members []netip.Prefix) error {
	if err := s.next(); err != nil {
		return err
	}
	return s.Sets.Add(name, members)
}

func (s failingSets) Except(name string, exceptions []netip.Prefix) error {
	if err := s.next(); err != nil {
		return err
	}
	return s.Sets.Except(name, exceptions)
}

func (s failingSets) Remove(name string, members []netip.Prefix) error {
	if err := s.next(); err != nil {
		return err
	}
	return s.Sets.Remove(name, members)
}

type failingKernel struct {
	apply.Kernel
	*failing
}

func (k failingKernel) Guard() error {
	if err := k.next(); err != nil {
		return err
	}
	return k.Kernel.Guard()
}

func (k failingKernel) Lift(generation uint32) (uint32, error) {
	if err := k.next(); err != nil {
		return 0, err
	}
	return k.Kernel.Lift(generation)
}

// TestFailureHalfWayLeavesTheGuard lets each write to the kernel fail in turn: bob
// must never get through, and but for the very last step nobody else either.
func TestFailureHalfWayLeavesTheGuard(t *testing.T) {
	needs(t)
	// the guard, two sets created and filled, two tables, the guard lifted
	for at := 1; at <= 8; at++ {
		t.Run(fmt.Sprintf("write %d", at), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			if err := l.alice1.ensure(t, apply.NFTables, alice(), &failing{at: at}); !errors.Is(err, errInjected) {
				t.Fatalf("got %v, want the injected failure", err)
			}
			if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
				t.Error("bob gets through")
			}
			if udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) && udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
				t.Error("no guard stands")
			}
			if err := l.alice1.ensure(t, apply.NFTables, alice(), &failing{}); err != nil {
				t.Fatal(err)
			}
			l.passes(t)
		})
	}
}

// TestFailureOfNews lets each write of what the feed tells fail in turn: bob never gets
// through, and the next try finds its way.
func TestFailureOfNews(t *testing.T) {
	needs(t)
	for at := 1; at <= 14; at++ {
		t.Run(fmt.Sprintf("write %d", at), func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			ensure := func(live *rules.Live, faults *failing) error {
				return l.alice1.ensurePlan(t, apply.NFTables, faults, func(facts rules.Pod) (rules.Plan, error) {
					return rules.Build(l.identity(), facts, live)
				})
			}
			told, changed := l.told(l.alice2), l.told(l.alice2, l.dns)
			changed.Peers = changed.Peers[1:]
			changed.Denied, changed.Cluster.Nodes = nil, prefixes("10.250.0.0/24", "fd11::/64")
			if err := ensure(nil, &failing{}); err != nil {
				t.Fatal(err)
			}
			if udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, false) {
				t.Error("a peer passes before the feed has told of it")
			}
			faults := &failing{at: at}
			for _, live := range []*rules.Live{told, changed} {
				if err := ensure(live, faults); err != nil && !errors.Is(err, errInjected) {
					t.Fatal(err)
				}
				if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
					t.Error("bob gets through")
				}
			}
			if faults.writes < at {
				t.Fatalf("there are %d writes only", faults.writes)
			}
			if err := ensure(told, &failing{}); err != nil {
				t.Fatal(err)
			}
			if !udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, true) || reachesIPv4(t, l, false) {
				t.Error("the next try has not found its way")
			}
		})
	}
}

// identity is what the feed's configuration is without a feed that listens.
func (l *lab) identity() *config.Config {
	c := (&feed{at: netip.AddrPortFrom(l.nodeIPv4, 9443)}).configure("alice")
	c.Feed.CA = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
	return c
}

// told is what the feed would tell alice1 of these peers.
func (l *lab) told(peers ...*pod) *rules.Live {
	addresses := l.alice1.both()
	for _, peer := range peers {
		addresses = append(addresses, peer.both()...)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	return &rules.Live{
		Cluster: snapshot(long).Cluster,
		Peers:   addresses,
		Denied:  []netip.Addr{netip.MustParseAddr("203.0.113.50"), netip.MustParseAddr("2001:db8::50")},
	}
}

// TestLegacy holds that the same rules do their work where the kernel has only
// legacy iptables, though no event tells of changes there.
func TestLegacy(t *testing.T) {
	needs(t, "iptables-legacy", "ip6tables-legacy")
	t.Parallel()
	l := newLab(t)
	if err := l.alice1.Do(func() error { return exec.Command("iptables-legacy", "-S").Run() }); err != nil {
		t.Skipf("the kernel has no legacy iptables: %v", err)
	}
	ensure := func() {
		t.Helper()
		if err := l.alice1.ensure(t, apply.Legacy, alice(), &failing{}); err != nil {
			t.Fatal(err)
		}
		if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
			t.Error("bob gets through")
		}
		l.passes(t)
	}
	ensure()
	l.alice1.sh(t, "iptables-legacy -P INPUT ACCEPT; iptables-legacy -F")
	if !reachesIPv4(t, l, true) {
		t.Fatal("flushed, and still stopped: something else does the work")
	}
	ensure()
	writes := &failing{}
	if err := l.alice1.ensure(t, apply.Legacy, alice(), writes); err != nil || writes.writes > 0 {
		t.Errorf("whole rules were written %d times, %v", writes.writes, err)
	}
}

// TestLegacyIdentity is TestLegacy for what the feed tells.
func TestLegacyIdentity(t *testing.T) {
	needs(t, "iptables-legacy", "ip6tables-legacy")
	t.Parallel()
	l := newLab(t)
	if err := l.alice1.Do(func() error { return exec.Command("iptables-legacy", "-S").Run() }); err != nil {
		t.Skipf("the kernel has no legacy iptables: %v", err)
	}
	told := l.told(l.alice2)
	told.Open = l.public()
	for _, live := range []*rules.Live{nil, told, told} {
		writes := &failing{}
		if err := l.alice1.ensurePlan(t, apply.Legacy, writes, func(facts rules.Pod) (rules.Plan, error) {
			return rules.Build(l.identity(), facts, live)
		}); err != nil {
			t.Fatal(err)
		}
		if reachesIPv4(t, l, false) || udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, false) {
			t.Error("bob gets through")
		}
		if want := live != nil; udp(t, l.alice2.namespace, l.alice1.namespace, l.alice1.ipv4, want) != want {
			t.Errorf("a peer: want %v", want)
		}
	}
}

// public are public ports of alice1's, of each protocol.
func (l *lab) public() []feedprotocol.Open {
	var all []feedprotocol.Open
	for _, addr := range l.alice1.both() {
		for _, name := range feedprotocol.Protocols() {
			all = append(all, feedprotocol.Open{Address: addr, Protocol: name, Port: 7200})
		}
	}
	return all
}

// ensure runs package apply inside the test, in the pod's namespace.
func (p *pod) ensure(t testing.TB, backend apply.Backend, c *config.Config, faults *failing, change ...func(*apply.Applier)) error {
	t.Helper()
	return p.ensurePlan(t, backend, faults, func(facts rules.Pod) (rules.Plan, error) { return rules.Build(c, facts, nil) }, change...)
}

// ensurePlan does so with a plan of one's own.
func (p *pod) ensurePlan(t testing.TB, backend apply.Backend, faults *failing, build func(rules.Pod) (rules.Plan, error), change ...func(*apply.Applier)) error {
	t.Helper()
	return p.Do(func() error {
		applier, err := apply.Open(backend, true)
		if err != nil {
			return err
		}
		for family, tables := range applier.Tables {
			applier.Tables[family] = failingTables{tables, faults}
		}
		applier.Sets = failingSets{applier.Sets, faults}
		if applier.Kernel != nil {
			applier.Kernel = failingKernel{applier.Kernel, faults}
		}
		for _, change := range change {
			change(applier)
		}
		facts, err := podfacts.Read()
		if err != nil {
			return err
		}
		plan, err := build(facts)
		if err != nil {
			return err
		}
		_, err = applier.Ensure(t.Context(), plan)
		return err
	})
}
