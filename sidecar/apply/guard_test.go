//go:build linux

package apply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// TestFailureLeavesTheGuard lets each write fail in turn, on a pod without rules
// and on one that was tampered with: both families must be closed afterwards, and
// the next attempt must succeed.
func TestFailureLeavesTheGuard(t *testing.T) {
	prepare := map[string]func(*testing.T, *kernel, rules.Plan){
		"new pod": func(*testing.T, *kernel, rules.Plan) {},
		"flushed, and the set altered": func(t *testing.T, k *kernel, plan rules.Plan) {
			if _, err := k.Ensure(context.Background(), plan); err != nil {
				t.Fatal(err)
			}
			k.v4.chains["INPUT"] = nil
			k.sets.sets["bulkhead-peers-4"].Members = prefixes("172.16.1.0/24", "172.16.2.0/24")
			k.tampered()
		},
	}
	for name, prepare := range prepare {
		t.Run(name, func(t *testing.T) {
			backends(t, func(t *testing.T, backend Backend) {
				for _, shutter := range []bool{true, false} {
					t.Run(fmt.Sprintf("shutter %v", shutter), func(t *testing.T) {
						failEach(t, func() *kernel {
							k := newKernel(backend)
							if !shutter {
								k.Shutter = nil
							}
							return k
						}, prepare)
					})
				}
			})
		})
	}
}

func failEach(t *testing.T, fresh func() *kernel, prepare func(*testing.T, *kernel, rules.Plan)) {
	plan := plan(t)
	for n := 1; ; n++ {
		k := fresh()
		prepare(t, k, plan)
		k.failAt = k.written + n
		_, err := k.Audit(context.Background(), plan)
		if k.written < k.failAt {
			if n <= 5 {
				t.Errorf("only %d writes seen", n-1)
			}
			return
		}
		// Without a shutter legacy sets the guards in its first two writes and lifts
		// them in its last two, one family after the other.
		byFamily := k.nft == nil && k.Shutter == nil && (k.inOrder(plan) || n <= 2 && (k.v4.guarded() || k.v6.guarded()))
		switch {
		case err == nil && (n > 1 || k.Shutter == nil): // the guard does without the shutter
			t.Errorf("write %d failed unnoticed", n)
		case err != nil && !k.closed() && !byFamily:
			t.Errorf("open after write %d failed", n)
		}
		k.failAt = 0
		if _, err := k.Audit(context.Background(), plan); err != nil {
			t.Errorf("not repaired after write %d failed: %v", n, err)
		}
		k.holds(t, plan)
	}
}

// TestGuardFallsBack holds that a kernel which refuses nftables' guard gets the rule.
func TestGuardFallsBack(t *testing.T) {
	k := newKernel(NFTables)
	k.failAt = 2 // the shutter is first
	if err := k.Guard(context.Background()); err == nil {
		t.Error("no error")
	}
	if !k.v4.guarded() || !k.v6.guarded() || !k.shutter.shut {
		t.Error("not guarded, or opened")
	}
	plan := plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.holds(t, plan)
}

// forgetful is a kernel that says yes and keeps only some of the rules, as a
// sandbox with half a netfilter might (D9).
type forgetful struct{ *fakeTables }

func (f forgetful) Restore(ctx context.Context, transaction string) error {
	err := f.fakeTables.Restore(ctx, transaction)
	f.chains["BULKHEAD-TO"] = nil
	return err
}

func TestVerifyBelievesOnlyWhatItReads(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		k.Tables[rules.IPv6] = forgetful{k.v6}
		_, err := k.Ensure(context.Background(), plan)
		if err == nil || !strings.Contains(err.Error(), "verify: the kernel does not hold what was set: IPv6 BULKHEAD-TO") {
			t.Errorf("got %v", err)
		}
		if !k.closed() {
			t.Error("not guarded")
		}
	})
}

// TestVerifiedIsWhatIsOpened holds that a change between the last look and the lifting
// of the guard is not opened with it.
func TestVerifiedIsWhatIsOpened(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	once := true
	k.nft.lifts = func() {
		if once {
			once = false
			k.v4.chains["INPUT"] = append([]string{"-j ACCEPT"}, k.v4.chains["INPUT"]...)
			k.tampered()
		}
	}
	if _, err := k.Ensure(context.Background(), plan); err == nil || !k.closed() {
		t.Errorf("opened with another's rule in front: %v", err)
	}
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.holds(t, plan)
}

func TestGuardWithoutPlan(t *testing.T) {
	cases := map[string]func(*kernel){
		"new pod":          func(*kernel) {},
		"unreadable table": func(k *kernel) { k.v4.unread = errors.New("incompatible") },
		"no ip_set":        func(k *kernel) { k.sets.unread = errors.New("cannot open session to kernel") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			backends(t, func(t *testing.T, backend Backend) {
				k := newKernel(backend)
				prepare(k)
				if err := k.Guard(context.Background()); err != nil || !k.closed() {
					t.Errorf("closed: %v, %v", k.closed(), err)
				}
			})
		})
	}
}

func TestEnsureRefusesAndGuards(t *testing.T) {
	cases := map[string]struct {
		prepare func(*kernel, *rules.Plan)
		want    string
		nftOnly bool
	}{
		"sets unreadable": {
			prepare: func(k *kernel, _ *rules.Plan) { k.sets.unread = errors.New("no ip_set") },
			want:    "no ip_set",
		},
		"plan lacks a family": {
			prepare: func(_ *kernel, p *rules.Plan) { p.Tables = p.Tables[:1] },
			want:    "tables for 1 families, the kernel for 2",
		},
		"kernel lacks a family": {
			prepare: func(k *kernel, _ *rules.Plan) { k.Tables = map[rules.Family]Tables{rules.IPv4: k.v4}; k.v6 = k.v4 },
			want:    "IPv6 is in the plan but not in the kernel",
		},
		"more peers than a set takes": {
			prepare: func(_ *kernel, p *rules.Plan) {
				for i := range ipset.Maximum + 1 {
					addr := netip.AddrFrom4([4]byte{172, 32 + byte(i>>16), byte(i >> 8), byte(i)})
					p.Tables[0].Peers.Members = append(p.Tables[0].Peers.Members, netip.PrefixFrom(addr, 32))
				}
			},
			want: "members are more than the 1048576 that a set takes",
		},
		"others rewrite packets": {
			prepare: func(k *kernel, _ *rules.Plan) { k.nft.unsafe = []string{"SNAT in chain x of table ip nat"} },
			want:    "behind its back: SNAT in chain x of table ip nat; remove",
			nftOnly: true,
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			backends(t, func(t *testing.T, backend Backend) {
				if test.nftOnly && backend == Legacy {
					t.Skip("only nftables tells of others' rules")
				}
				k, plan := newKernel(backend), plan(t)
				test.prepare(k, &plan)
				for range 2 {
					_, err := k.Ensure(context.Background(), plan)
					if err == nil || !strings.Contains(err.Error(), test.want) {
						t.Errorf("got %v, want %q in it", err, test.want)
					}
					if !k.closed() {
						t.Error("not guarded")
					}
				}
			})
		})
	}
}

// TestUnsafeRulesClose holds that a pod whose rules are whole is closed when somebody
// adds a rule that rewrites packets, and opened when it is gone.
func TestUnsafeRulesClose(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	k.nft.unsafe = []string{"fwd in chain x of table netdev y"}
	k.tampered()
	if _, err := k.Ensure(context.Background(), plan); err == nil || !k.closed() {
		t.Errorf("closed: %v, %v", k.closed(), err)
	}
	k.nft.unsafe = nil
	k.tampered()
	if _, err := k.Ensure(context.Background(), plan); err != nil || k.closed() {
		t.Errorf("closed: %v, %v", k.closed(), err)
	}
	k.holds(t, plan)
}

// TestAlert holds that the guard stands as soon as anything changed, that it is lifted
// if that was nothing of Bulkhead's, and that its own changes alert nobody.
func TestAlert(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	if k.Alert(); k.closed() {
		t.Error("alerted by the own rules")
	}
	k.tampered()
	if k.Alert(); !k.closed() {
		t.Error("not guarded")
	}
	if found, err := k.Ensure(context.Background(), plan); err != nil || len(found.Differences) > 0 {
		t.Errorf("nothing of ours was touched, but %v, %v", found, err)
	}
	k.holds(t, plan)
	if k.Alert(); k.closed() {
		t.Error("alerted by the own lift")
	}
	k.v4.chains["INPUT"] = nil
	k.tampered()
	k.Alert()
	found, err := k.Ensure(context.Background(), plan)
	if err != nil || len(found.Differences) != 1 || found.Differences[0].Kind != protocol.TamperedJump || found.Guarded == 0 {
		t.Errorf("reported %+v, %v", found, err)
	}
	k.holds(t, plan)
	// What changes while the guard is lifted is seen too.
	k.tampered()
	k.Alert()
	k.nft.lifts = func() {
		k.nft.lifts = nil
		k.v6.chains["INPUT"] = nil
		k.tampered()
	}
	if found, err := k.Ensure(context.Background(), plan); err != nil || len(found.Differences) != 1 {
		t.Errorf("reported %+v, %v", found, err)
	}
	k.holds(t, plan)
}
