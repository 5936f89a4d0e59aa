//go:build linux

package apply

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// fakeTables is a filter table in memory: it executes the few words of
// iptables-restore that Applier uses, in one step or not at all.
type fakeTables struct {
	policies map[string]string
	chains   map[string][]string
	packets  map[string]uint64 // by rule
	flags    uint32
	absent   bool
	kernel   *fakeKernel // whose generation follows, if any
	written  *int        // counts writes, of all fakes of one Applier
	failAt   *int        // the write that fails
	unread   error       // what List returns
}

func newFakeTables(written, failAt *int) *fakeTables {
	t := &fakeTables{packets: map[string]uint64{}, written: written, failAt: failAt}
	t.flush("ACCEPT")
	return t
}

func (t *fakeTables) flush(policy string) {
	t.policies, t.chains, t.flags, t.unread = map[string]string{}, map[string][]string{}, 0, nil
	for _, builtin := range builtins() {
		t.policies[builtin], t.chains[builtin] = policy, nil
	}
}

func (t *fakeTables) List() ([]string, error) {
	if t.unread != nil {
		return nil, t.unread
	}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(t.policies)) {
		lines = append(lines, fmt.Sprintf("-P %s %s", name, t.policies[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(t.chains)) {
		if t.policies[name] == "" {
			lines = append(lines, "-N "+name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.chains)) {
		for _, rule := range t.chains[name] {
			lines = append(lines, fmt.Sprintf("-A %s %s", name, rule))
		}
	}
	return lines, nil
}

func (t *fakeTables) Restore(_ context.Context, text string) error {
	if err := fail(t.written, t.failAt); err != nil {
		return err
	}
	policies, chains := maps.Clone(t.policies), map[string][]string{}
	for name, rules := range t.chains {
		chains[name] = slices.Clone(rules)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "*filter" || lines[len(lines)-1] != "COMMIT" {
		return fmt.Errorf("not a transaction: %q", text)
	}
	for _, line := range lines[1 : len(lines)-1] {
		words := strings.Fields(line)
		if name, ok := strings.CutPrefix(words[0], ":"); ok {
			if words[1] == "-" {
				chains[name] = nil
			} else {
				policies[name] = words[1]
			}
			continue
		}
		name := words[1]
		rules, ok := chains[name]
		if !ok {
			return fmt.Errorf("no chain %s", name)
		}
		rule := strings.Join(words[2:], " ")
		switch words[0] {
		case "-A":
			rules = append(rules, rule)
		case "-F":
			rules = nil
			t.unread = nil // what could not be read is gone
		case "-I":
			position, err := strconv.Atoi(words[2])
			if err != nil || position > len(rules)+1 {
				return fmt.Errorf("bad position: %s", line)
			}
			rules = slices.Insert(rules, position-1, strings.Join(words[3:], " "))
		case "-D":
			at := slices.Index(rules, rule)
			if at < 0 {
				return fmt.Errorf("no such rule: %s", line)
			}
			rules = slices.Delete(rules, at, at+1)
		default:
			return fmt.Errorf("unknown: %s", line)
		}
		chains[name] = rules
	}
	t.policies, t.chains, t.absent = policies, chains, false
	if t.kernel != nil {
		t.kernel.generation++
	}
	return nil
}

// guarded says whether all built-in chains begin with the guard.
func (t *fakeTables) guarded() bool {
	for _, builtin := range builtins() {
		if len(t.chains[builtin]) == 0 || t.chains[builtin][0] != guard().Spec() {
			return false
		}
	}
	return true
}

// fakeKernel is the nftables of the fake tables, with the guard.
type fakeKernel struct {
	tables     map[rules.Family]*fakeTables
	guard      nftables.Guard
	unsafe     []string
	unread     error
	lifts      func() // called before the guard is lifted
	generation uint32
	written    *int
	failAt     *int
}

func (k *fakeKernel) Generation() (uint32, error) { return k.generation, k.unread }

func (k *fakeKernel) Look() (*nftables.Snapshot, error) {
	if k.unread != nil {
		return nil, k.unread
	}
	found := &nftables.Snapshot{Generation: k.generation, Filter: map[uint8]*nftables.Table{}, Guard: k.guard, Unsafe: k.unsafe}
	for family, tables := range k.tables {
		if tables.absent {
			continue
		}
		table := &nftables.Table{Flags: tables.flags, Chains: map[string]*nftables.Chain{}}
		for name, rules := range tables.chains {
			chain := &nftables.Chain{Drop: tables.policies[name] == "DROP"}
			if tables.policies[name] != "" {
				chain.Base = hooked()[name]
			}
			for _, rule := range rules {
				digest := sha256.Sum256([]byte(rule))
				chain.Rules = append(chain.Rules, nftables.Rule{Digest: [16]byte(digest[:]), Packets: tables.packets[rule], Bytes: 100 * tables.packets[rule]})
			}
			table.Chains[name] = chain
		}
		found.Filter[familyNumber(family)] = table
	}
	return found, nil
}

func (k *fakeKernel) Guard() error {
	if err := fail(k.written, k.failAt); err != nil {
		return err
	}
	k.guard = nftables.GuardStanding
	k.generation++
	return nil
}

func (k *fakeKernel) Wake() error { return k.Guard() }

func (k *fakeKernel) Lift(generation uint32) (uint32, error) {
	if k.lifts != nil {
		k.lifts()
	}
	if generation != k.generation {
		return 0, unix.ERESTART
	}
	if err := fail(k.written, k.failAt); err != nil {
		return 0, err
	}
	k.guard = nftables.GuardResting
	k.generation++
	return k.generation, nil
}

func (k *fakeKernel) RemoveFilter(family uint8) error { return k.filter(family, true) }
func (k *fakeKernel) MakeFilter(family uint8) error   { return k.filter(family, false) }

func (k *fakeKernel) filter(number uint8, absent bool) error {
	if err := fail(k.written, k.failAt); err != nil {
		return err
	}
	for family, tables := range k.tables {
		if familyNumber(family) == number {
			tables.flush("DROP")
			tables.absent = absent
		}
	}
	k.generation++
	return nil
}

// fakeShutter is shut or not.
type fakeShutter struct {
	shut    bool
	shuts   func() // called when it was shut
	opens   func() // called before it is opened
	written *int
	failAt  *int
}

func (s *fakeShutter) Shut() error {
	if err := fail(s.written, s.failAt); err != nil {
		return err
	}
	s.shut = true
	if s.shuts != nil {
		s.shuts()
	}
	return nil
}

func (s *fakeShutter) Open() error {
	if !s.shut {
		return nil
	}
	if err := fail(s.written, s.failAt); err != nil {
		return err
	}
	if s.opens != nil {
		s.opens()
	}
	s.shut = false
	return nil
}

// fakeSets are ipsets in memory.
type fakeSets struct {
	sets    map[string]*ipset.Set
	reads   int
	written *int
	failAt  *int
	unread  error
}

func (s *fakeSets) Read(name string) (*ipset.Set, error) {
	s.reads++
	if s.unread != nil || s.sets[name] == nil {
		return nil, s.unread
	}
	set := *s.sets[name]
	set.Members, set.Exceptions = slices.Clone(set.Members), slices.Clone(set.Exceptions)
	return &set, nil
}

func (s *fakeSets) Create(name string, ipv6 bool) error {
	return s.write(s.sets[name] == nil, func() { s.sets[name] = &ipset.Set{Kind: ipset.Kind(ipv6)} })
}

func (s *fakeSets) Add(name string, members []netip.Prefix) error {
	return s.write(s.sets[name] != nil, func() {
		s.sets[name].Exceptions = lacking(s.sets[name].Exceptions, members)
		s.sets[name].Members = sorted(append(s.sets[name].Members, members...))
	})
}

func (s *fakeSets) Remove(name string, members []netip.Prefix) error {
	return s.write(s.sets[name] != nil, func() {
		s.sets[name].Members, s.sets[name].Exceptions = lacking(s.sets[name].Members, members), lacking(s.sets[name].Exceptions, members)
	})
}

func (s *fakeSets) Swap(one, other string) error {
	return s.write(s.sets[one] != nil && s.sets[other] != nil && s.sets[one].Kind == s.sets[other].Kind, func() {
		s.sets[one], s.sets[other] = s.sets[other], s.sets[one]
	})
}

func (s *fakeSets) Destroy(name string) error {
	return s.write(s.sets[name] != nil, func() { delete(s.sets, name) })
}

func (s *fakeSets) write(possible bool, change func()) error {
	if err := fail(s.written, s.failAt); err != nil {
		return err
	}
	if !possible {
		return errors.New("the kernel would refuse")
	}
	change()
	return nil
}

func fail(written, failAt *int) error {
	*written++
	if *written == *failAt {
		return fmt.Errorf("injected failure of write %d", *written)
	}
	return nil
}
