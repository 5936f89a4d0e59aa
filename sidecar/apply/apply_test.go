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
	shutter *fakeShutter
	written int
	failAt  int
}

func newKernel(backend Backend) *kernel {
	k := &kernel{}
	k.v4, k.v6 = newFakeTables(&k.written, &k.failAt), newFakeTables(&k.written, &k.failAt)
	k.sets = &fakeSets{sets: map[string]*ipset.Set{}, written: &k.written, failAt: &k.failAt}
	k.shutter = &fakeShutter{written: &k.written, failAt: &k.failAt}
	k.Applier = &Applier{Tables: map[rules.Family]Tables{rules.IPv4: k.v4, rules.IPv6: k.v6}, Sets: k.sets, Shutter: k.shutter}
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

// closed says whether no packet of either family passes.
func (k *kernel) closed() bool {
	return k.shutter.shut || k.guarded()
}

// guarded says whether the guard stands in both families.
func (k *kernel) guarded() bool {
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
	}, nil)
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
