//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"testing"

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

// ensure runs package apply inside the test, in the pod's namespace.
func (p *pod) ensure(t testing.TB, backend apply.Backend, c *config.Config, faults *failing, change ...func(*apply.Applier)) error {
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
		plan, err := rules.Build(c, facts, nil)
		if err != nil {
			return err
		}
		_, err = applier.Ensure(t.Context(), plan)
		return err
	})
}
