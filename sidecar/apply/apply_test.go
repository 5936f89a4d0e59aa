package apply

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// kernel is an Applier over fakes.
type kernel struct {
	*Applier
	v4, v6  *fakeTables
	sets    *fakeSets
	written int
	failAt  int
}

func newKernel() *kernel {
	k := &kernel{}
	k.v4, k.v6 = newFakeTables(&k.written, &k.failAt), newFakeTables(&k.written, &k.failAt)
	k.sets = &fakeSets{kinds: map[string]string{}, members: map[string][]string{}, written: &k.written, failAt: &k.failAt}
	k.Applier = &Applier{Tables: map[rules.Family]Tables{rules.IPv4: k.v4, rules.IPv6: k.v6}, Sets: k.sets}
	return k
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
	k, plan := newKernel(), plan(t)
	differed, err := k.Ensure(context.Background(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if len(differed) == 0 {
		t.Error("nothing reported")
	}
	k.holds(t, plan)
}

func TestEnsureIsIdempotent(t *testing.T) {
	k, plan := newKernel(), plan(t)
	for range 2 {
		if _, err := k.Ensure(context.Background(), plan); err != nil {
			t.Fatal(err)
		}
	}
	before := k.written
	differed, err := k.Ensure(context.Background(), plan)
	if err != nil || len(differed) > 0 || k.written != before {
		t.Errorf("a whole ruleset was touched: %v, %d writes, %v", differed, k.written-before, err)
	}
}

func TestEnsureRepairs(t *testing.T) {
	cases := map[string]struct {
		tamper func(*kernel)
		want   string
	}{
		"rules flushed": {
			tamper: func(k *kernel) {
				for name := range k.v4.chains {
					k.v4.chains[name] = nil
				}
			},
			want: "IPv4 INPUT begins with nothing",
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
			want:   "IPv4 INPUT begins with -j ACCEPT",
		},
		"jump twice": {
			tamper: func(k *kernel) { k.v4.chains["INPUT"] = append(k.v4.chains["INPUT"], k.v4.chains["INPUT"][0]) },
			want:   "IPv4 INPUT jumps to Bulkhead more than once",
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
			want: "IPv4 BULKHEAD-OUTPUT lacks rule 3: -m comment",
		},
		"table unreadable": {
			tamper: func(k *kernel) { k.v4.unread = errors.New("table is incompatible, use 'nft' tool") },
			want:   "IPv4 cannot be read: table is incompatible",
		},
		"set emptied": {
			tamper: func(k *kernel) { k.sets.members["bulkhead-peers-4"] = nil },
			want:   "set bulkhead-peers-4 lacks 172.16.1.0/24",
		},
		"member added": {
			tamper: func(k *kernel) {
				k.sets.members["bulkhead-peers-6"] = append(k.sets.members["bulkhead-peers-6"], "fd00:2::/64")
			},
			want: "set bulkhead-peers-6 has fd00:2::/64 too much",
		},
		"member excepted": {
			tamper: func(k *kernel) {
				k.sets.members["bulkhead-peers-4"] = append(k.sets.members["bulkhead-peers-4"], "172.16.1.9 nomatch")
			},
			want: `set bulkhead-peers-4 has the strange member "172.16.1.9 nomatch"`,
		},
		"set of another type": {
			tamper: func(k *kernel) { k.sets.kinds["bulkhead-peers-4"] = "hash:ip family inet" },
			want:   `set bulkhead-peers-4 is of type "hash:ip family inet"`,
		},
		"set left over from a crash": {
			tamper: func(k *kernel) {
				k.sets.kinds["bulkhead-peers-4-new"] = "hash:net family inet"
				k.sets.members["bulkhead-peers-4"] = nil
			},
			want: "set bulkhead-peers-4 lacks 172.16.1.0/24",
		},
		"guard left over from a crash": {
			tamper: func(k *kernel) { k.v4.chains["INPUT"] = append([]string{guard().Spec()}, k.v4.chains["INPUT"]...) },
			want:   "IPv4 INPUT has the guard",
		},
		"guard behind an accept": {
			tamper: func(k *kernel) {
				k.v4.chains["INPUT"] = append([]string{"-j ACCEPT", guard().Spec()}, k.v4.chains["INPUT"]...)
			},
			want: "IPv4 INPUT begins with -j ACCEPT",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			k, plan := newKernel(), plan(t)
			if _, err := k.Ensure(context.Background(), plan); err != nil {
				t.Fatal(err)
			}
			test.tamper(k)
			differed, err := k.Ensure(context.Background(), plan)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.Join(differed, "; "), test.want) {
				t.Errorf("reported %q, want %q in it", differed, test.want)
			}
			k.holds(t, plan)
		})
	}
}

func TestForeignRulesStayBehind(t *testing.T) {
	k, plan := newKernel(), plan(t)
	k.v4.chains["INPUT"] = []string{"-p tcp -j LOG", "-j ACCEPT"}
	if _, err := k.Ensure(context.Background(), plan); err != nil {
		t.Fatal(err)
	}
	got := k.v4.chains["INPUT"]
	want := []string{plan.Tables[0].Hooks[0].Jump.Spec(), "-p tcp -j LOG", "-j ACCEPT"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("INPUT (-want +got):\n%s", diff)
	}
}

// TestFailureLeavesTheGuard lets each write fail in turn, on a pod without rules
// and on one whose set was altered: both families must be closed afterwards, and
// the next attempt must succeed.
func TestFailureLeavesTheGuard(t *testing.T) {
	prepare := map[string]func(*testing.T, *kernel, rules.Plan){
		"new pod": func(*testing.T, *kernel, rules.Plan) {},
		"altered set": func(t *testing.T, k *kernel, plan rules.Plan) {
			if _, err := k.Ensure(context.Background(), plan); err != nil {
				t.Fatal(err)
			}
			k.sets.members["bulkhead-peers-4"] = nil
		},
	}
	for name, prepare := range prepare {
		t.Run(name, func(t *testing.T) {
			plan := plan(t)
			failures := 0
			for n := 1; ; n++ {
				k := newKernel()
				prepare(t, k, plan)
				k.failAt = k.written + n
				if _, err := k.Ensure(context.Background(), plan); err == nil {
					break
				}
				failures++
				// The last two writes lift the guards, one family after the other.
				closed := k.v4.guarded() && k.v6.guarded()
				lifting := holdsBehindGuard(k, plan) && (k.v4.guarded() || k.v6.guarded())
				guarding := n <= 2 && (k.v4.guarded() || k.v6.guarded())
				if !closed && !lifting && !guarding {
					t.Errorf("open after write %d failed:\n%v\n%v", n, k.v4.chains, k.v6.chains)
				}
				k.failAt = 0
				if _, err := k.Ensure(context.Background(), plan); err != nil {
					t.Errorf("not repaired after write %d failed: %v", n, err)
				}
				k.holds(t, plan)
			}
			if failures < 6 {
				t.Errorf("only %d writes seen", failures)
			}
		})
	}
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
	k, plan := newKernel(), plan(t)
	k.Tables[rules.IPv6] = forgetful{k.v6}
	_, err := k.Ensure(context.Background(), plan)
	if err == nil || !strings.Contains(err.Error(), "verify: the kernel does not hold what was set: IPv6 BULKHEAD-TO") {
		t.Errorf("got %v", err)
	}
	if !k.v4.guarded() || !k.v6.guarded() {
		t.Error("not guarded")
	}
}

func TestGuardWithoutPlan(t *testing.T) {
	cases := map[string]func(*kernel){
		"new pod":          func(*kernel) {},
		"unreadable table": func(k *kernel) { k.v4.unread = errors.New("incompatible") },
		"no ip_set":        func(k *kernel) { k.sets.unread = errors.New("cannot open session to kernel") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			k := newKernel()
			prepare(k)
			err := k.Guard(context.Background())
			if wantErr := k.sets.unread; !errors.Is(err, wantErr) {
				t.Errorf("got %v, want %v", err, wantErr)
			}
			if !k.v4.guarded() || !k.v6.guarded() {
				t.Error("not guarded")
			}
		})
	}
}

func TestEnsureRefusesAndGuards(t *testing.T) {
	cases := map[string]struct {
		prepare func(*kernel, *rules.Plan)
		want    string
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
			prepare: func(k *kernel, _ *rules.Plan) { delete(k.Tables, rules.IPv6) },
			want:    "IPv6 is in the plan but not in the kernel",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			k, plan := newKernel(), plan(t)
			test.prepare(k, &plan)
			_, err := k.Ensure(context.Background(), plan)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if !k.v4.guarded() {
				t.Error("not guarded")
			}
		})
	}
}

// holds checks with eyes of its own that the fakes hold the plan and no guard.
func (k *kernel) holds(t *testing.T, plan rules.Plan) {
	t.Helper()
	for i, tables := range []*fakeTables{k.v4, k.v6} {
		table := plan.Tables[i]
		for _, hook := range table.Hooks {
			if rules := tables.chains[hook.Builtin]; len(rules) == 0 || rules[0] != hook.Jump.Spec() {
				t.Errorf("%s %s: %q", table.Family, hook.Builtin, rules)
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
		var want []string
		for _, member := range sorted(table.Peers.Members) {
			want = append(want, member.String())
		}
		if diff := cmp.Diff(want, k.sets.members[table.Peers.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table.Peers.Name, diff)
		}
	}
	if len(k.sets.kinds) != 2 {
		t.Errorf("sets left over: %v", k.sets.kinds)
	}
}

// holdsBehindGuard says whether all is in place but for the guards.
func holdsBehindGuard(k *kernel, plan rules.Plan) bool {
	found, err := k.read(context.Background())
	return err == nil && len(found.differences(plan)) == 0
}
