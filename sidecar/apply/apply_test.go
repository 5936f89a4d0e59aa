//go:build linux

package apply

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// kernel is an Applier over fakes.
type kernel struct {
	*Applier
	nft     *fakeKernel // nil for legacy
	v4, v6  *fakeTables
	sets    *fakeSets
	written int
	failAt  int
}

func newKernel(backend Backend) *kernel {
	k := &kernel{}
	k.v4, k.v6 = newFakeTables(&k.written, &k.failAt), newFakeTables(&k.written, &k.failAt)
	k.sets = &fakeSets{sets: map[string]*ipset.Set{}, written: &k.written, failAt: &k.failAt}
	k.Applier = &Applier{Tables: map[rules.Family]Tables{rules.IPv4: k.v4, rules.IPv6: k.v6}, Sets: k.sets}
	if backend == NFTables {
		k.nft = &fakeKernel{
			tables:     map[rules.Family]*fakeTables{rules.IPv4: k.v4, rules.IPv6: k.v6},
			generation: 1, written: &k.written, failAt: &k.failAt,
		}
		k.v4.kernel, k.v6.kernel, k.v4.absent, k.v6.absent = k.nft, k.nft, true, true
		k.Kernel = k.nft
	}
	return k
}

// tampered is what the kernel does when somebody else changes its rules.
func (k *kernel) tampered() {
	if k.nft != nil {
		k.nft.generation++
	}
}

// closed says whether the guard stands in both families.
func (k *kernel) closed() bool {
	return k.nft != nil && k.nft.guard == nftables.GuardStanding || k.v4.guarded() && k.v6.guarded()
}

// backends runs a test with both.
func backends(t *testing.T, test func(*testing.T, Backend)) {
	for _, backend := range []Backend{NFTables, Legacy} {
		t.Run(string(backend), func(t *testing.T) { test(t, backend) })
	}
}

func plan(t *testing.T) rules.Plan {
	t.Helper()
	plan, err := rules.Build(&config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Peers:   []netip.Prefix{netip.MustParsePrefix("172.16.1.0/24"), netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("172.16.9.9/32")},
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("fd00::/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24")},
		Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		Probes:  []config.Port{8080},
	}, rules.Pod{
		Addresses: []netip.Addr{netip.MustParseAddr("172.16.1.7"), netip.MustParseAddr("fd00:1::7")},
		IPv6:      true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestEnsureFromNothing(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		found, err := k.Ensure(context.Background(), plan)
		if err != nil {
			t.Fatal(err)
		}
		if len(found.Differences) == 0 || found.Guarded == 0 || found.Whole < found.Guarded {
			t.Errorf("reported %+v", found)
		}
		k.holds(t, plan)
	})
}

func TestEnsureIsIdempotent(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		for _, restart := range []bool{false, false, true} {
			if restart {
				k.inForce, k.members = nil, nil
			}
			before := k.written
			if _, err := k.Ensure(context.Background(), plan); err != nil {
				t.Fatal(err)
			}
			first := before == 0
			found, err := k.Audit(context.Background(), plan)
			if err != nil || len(found.Differences) > 0 || !first && k.written != before {
				t.Errorf("a whole ruleset was touched: %v, %d writes, %v", found, k.written-before, err)
			}
		}
	})
}

func TestEnsureRepairs(t *testing.T) {
	cases := map[string]struct {
		tamper  func(*kernel)
		want    string
		nftOnly bool
	}{
		"rules flushed": {
			tamper: func(k *kernel) {
				for name := range k.v4.chains {
					k.v4.chains[name] = nil
				}
			},
			want: "IPv4 INPUT has as rule 1: nothing",
		},
		"chain deleted": {
			tamper: func(k *kernel) { delete(k.v6.chains, "BULKHEAD-TO") },
			want:   "IPv6 BULKHEAD-TO is missing",
		},
		"policy opened": {
			tamper: func(k *kernel) { k.v4.policies["FORWARD"] = "ACCEPT" },
			want:   "IPv4 FORWARD has the policy ACCEPT",
		},
		"accept in front of the jump": {
			tamper: func(k *kernel) { k.v4.chains["INPUT"] = append([]string{"-j ACCEPT"}, k.v4.chains["INPUT"]...) },
			want:   "IPv4 INPUT has as rule 1: -j ACCEPT",
		},
		"rule added": {
			tamper: func(k *kernel) { k.v4.chains["BULKHEAD-TO"] = append(k.v4.chains["BULKHEAD-TO"], "-j ACCEPT") },
			want:   "IPv4 BULKHEAD-TO has a rule too much: -j ACCEPT",
		},
		"rule altered": {
			tamper: func(k *kernel) { k.v4.chains["BULKHEAD-TO"][1] = "-j RETURN" },
			want:   "IPv4 BULKHEAD-TO has as rule 2: -j RETURN",
		},
		"rule deleted": {
			tamper: func(k *kernel) {
				k.v4.chains["BULKHEAD-OUTPUT"] = k.v4.chains["BULKHEAD-OUTPUT"][:2]
			},
			want: "IPv4 BULKHEAD-OUTPUT has as rule 3: nothing",
		},
		"table unreadable": {
			tamper: func(k *kernel) {
				k.v4.unread = errors.New("table is incompatible, use 'nft' tool")
				k.v4.chains["INPUT"] = append([]string{"numgen"}, k.v4.chains["INPUT"]...)
			},
			want: "IPv4 cannot be read: table is incompatible",
		},
		"set emptied": {
			tamper: func(k *kernel) { k.sets.sets["bulkhead-peers-4"].Members = nil },
			want:   "set bulkhead-peers-4 lacks 172.16.1.0/24",
		},
		"member added": {
			tamper: func(k *kernel) {
				set := k.sets.sets["bulkhead-peers-6"]
				set.Members = append(set.Members, netip.MustParsePrefix("fd00:2::/64"))
			},
			want: "set bulkhead-peers-6 has fd00:2::/64 too much",
		},
		"member excepted": {
			tamper: func(k *kernel) { k.sets.sets["bulkhead-peers-4"].Odd = true },
			want:   "set bulkhead-peers-4 has strange members",
		},
		"set of another type": {
			tamper: func(k *kernel) { k.sets.sets["bulkhead-peers-4"].Kind = "hash:ip IPv4" },
			want:   `set bulkhead-peers-4 is of type "hash:ip IPv4"`,
		},
		"set left over from a crash": {
			tamper: func(k *kernel) {
				k.sets.sets["bulkhead-peers-4-new"] = &ipset.Set{Kind: ipset.Kind(false)}
				k.sets.sets["bulkhead-peers-4"].Odd = true
			},
			want: "set bulkhead-peers-4 has strange members",
		},
		"table asleep": {
			tamper: func(k *kernel) { k.v4.flags = 1 }, want: "IPv4 filter table has the flags 0x1", nftOnly: true,
		},
		"table deleted": {
			tamper: func(k *kernel) { k.v6.flush("ACCEPT"); k.v6.absent = true }, want: "IPv6 INPUT", nftOnly: true,
		},
		"guard altered": {
			tamper: func(k *kernel) { k.nft.guard = nftables.GuardSpoilt }, want: "the guard stands, or is not", nftOnly: true,
		},
		"guard left over from a crash": {
			tamper: func(k *kernel) { k.v4.chains["INPUT"] = append([]string{guard().Spec()}, k.v4.chains["INPUT"]...) },
			want:   "IPv4 INPUT has the guard",
		},
		"guard behind an accept": {
			tamper: func(k *kernel) {
				k.v4.chains["INPUT"] = append([]string{"-j ACCEPT", guard().Spec()}, k.v4.chains["INPUT"]...)
			},
			want: "IPv4 INPUT has as rule 1: -j ACCEPT",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			backends(t, func(t *testing.T, backend Backend) {
				k, plan := newKernel(backend), plan(t)
				if k.nft == nil && test.nftOnly {
					t.Skip("legacy iptables cannot say such a thing")
				}
				if _, err := k.Ensure(context.Background(), plan); err != nil {
					t.Fatal(err)
				}
				test.tamper(k)
				k.tampered()
				found, err := k.Audit(context.Background(), plan)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(fmt.Sprint(found.Differences), test.want) {
					t.Errorf("reported %v, want %q in it", found.Differences, test.want)
				}
				k.holds(t, plan)
			})
		})
	}
}

func TestForeignRulesStayBehind(t *testing.T) {
	backends(t, func(t *testing.T, backend Backend) {
		k, plan := newKernel(backend), plan(t)
		k.v4.chains["INPUT"] = []string{"-p tcp -j LOG", "-j ACCEPT"}
		k.v4.absent = false
		if _, err := k.Ensure(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, rule := range plan.Tables[0].Hooks[0].Rules {
			want = append(want, rule.Spec())
		}
		if diff := cmp.Diff(append(want, "-p tcp -j LOG", "-j ACCEPT"), k.v4.chains["INPUT"]); diff != "" {
			t.Errorf("INPUT (-want +got):\n%s", diff)
		}
		k.v4.chains["INPUT"] = append(k.v4.chains["INPUT"], "-j REJECT")
		k.tampered()
		if found, err := k.Ensure(context.Background(), plan); err != nil || len(found.Differences) > 0 {
			t.Errorf("a rule behind ours: %v, %v", found, err)
		}
	})
}

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
				plan := plan(t)
				failures := 0
				for n := 1; ; n++ {
					k := newKernel(backend)
					prepare(t, k, plan)
					k.failAt = k.written + n
					if _, err := k.Audit(context.Background(), plan); err == nil {
						break
					}
					failures++
					// Legacy lifts the guards in its last two writes, one family
					// after the other.
					lifting := k.nft == nil && k.inOrder(plan)
					guarding := k.nft == nil && n <= 2 && (k.v4.guarded() || k.v6.guarded())
					if !k.closed() && !lifting && !guarding {
						t.Errorf("open after write %d failed", n)
					}
					k.failAt = 0
					if _, err := k.Audit(context.Background(), plan); err != nil {
						t.Errorf("not repaired after write %d failed: %v", n, err)
					}
					k.holds(t, plan)
				}
				if failures < 5 {
					t.Errorf("only %d writes seen", failures)
				}
			})
		})
	}
}

// TestGuardFallsBack holds that a kernel which refuses nftables' guard gets the rule.
func TestGuardFallsBack(t *testing.T) {
	k := newKernel(NFTables)
	k.failAt = 1
	if err := k.Guard(context.Background()); err == nil {
		t.Error("no error")
	}
	if !k.v4.guarded() || !k.v6.guarded() {
		t.Error("not guarded")
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

// TestUpdateOfSets holds that a change of few members is made by itself, without a
// guard and without reading the others, and one of many by an exchange.
func TestUpdateOfSets(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	reads, written := k.sets.reads, k.written
	plan.Tables[0].Peers.Members = prefixes("172.16.1.0/24", "172.16.9.8/32")
	found, err := k.Ensure(context.Background(), plan)
	if err != nil || len(found.Differences) > 0 || found.Guarded > 0 {
		t.Errorf("reported %+v, %v", found, err)
	}
	if k.sets.reads != reads || k.written != written+2 {
		t.Errorf("%d reads and %d writes", k.sets.reads-reads, k.written-written)
	}
	k.holds(t, plan)
	plan.Tables[0].Peers.Members = nil
	for i := range 5000 {
		plan.Tables[0].Peers.Members = append(plan.Tables[0].Peers.Members, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32))
	}
	written = k.written
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	if k.written > written+4 {
		t.Errorf("%d writes", k.written-written)
	}
	k.holds(t, plan)
}

func TestDropped(t *testing.T) {
	k, plan := newKernel(NFTables), plan(t)
	if drops, err := k.Dropped(); err != nil || len(drops) > 0 {
		t.Errorf("before anything is in force: %v, %v", drops, err)
	}
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	dropped := func(want ...protocol.Drops) {
		t.Helper()
		drops, err := k.Dropped()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, drops); diff != "" {
			t.Errorf("dropped (-want +got):\n%s", diff)
		}
	}
	dropped()
	spoofed := plan.Tables[0].Chains[2].Rules[2].Spec()
	k.v4.packets[spoofed] = 7
	dropped(protocol.Drops{Direction: protocol.Out, Reason: "P3", Packets: 7, Bytes: 700})
	k.v4.packets[spoofed] = 9
	dropped(protocol.Drops{Direction: protocol.Out, Reason: "P3", Packets: 2, Bytes: 200})
	k.v4.packets[spoofed] = 1 // the rule was written anew
	dropped(protocol.Drops{Direction: protocol.Out, Reason: "P3", Packets: 1, Bytes: 100})
	dropped()
}

// holds checks with eyes of its own that the fakes hold the plan and no guard.
func (k *kernel) holds(t *testing.T, plan rules.Plan) {
	t.Helper()
	if k.closed() {
		t.Error("the guard stands")
	}
	for i, tables := range []*fakeTables{k.v4, k.v6} {
		table := plan.Tables[i]
		for _, hook := range table.Hooks {
			for i, rule := range hook.Rules {
				if rules := tables.chains[hook.Builtin]; len(rules) <= i || rules[i] != rule.Spec() {
					t.Errorf("%s %s: %q", table.Family, hook.Builtin, rules)
				}
			}
			if policy := tables.policies[hook.Builtin]; policy != "DROP" {
				t.Errorf("%s %s: policy %s", table.Family, hook.Builtin, policy)
			}
		}
		for _, chain := range table.Chains {
			var want []string
			for _, rule := range chain.Rules {
				want = append(want, rule.Spec())
			}
			if diff := cmp.Diff(want, tables.chains[chain.Name]); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", table.Family, chain.Name, diff)
			}
		}
		want := ipset.Set{Kind: kind(table.Peers), Members: sorted(table.Peers.Members)}
		if diff := cmp.Diff(&want, k.sets.sets[table.Peers.Name], cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table.Peers.Name, diff)
		}
	}
	if len(k.sets.sets) != 2 {
		t.Errorf("sets left over: %v", k.sets.sets)
	}
}

// inOrder says whether all is in place but for the guards.
func (k *kernel) inOrder(plan rules.Plan) bool {
	found := &state{}
	k.list(found)
	for _, difference := range found.differences(plan) {
		if difference.Kind != protocol.TamperedGuard {
			return false
		}
	}
	return true
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
