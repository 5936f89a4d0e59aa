//go:build linux

package apply

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

func (s *fakeSets) Except(name string, exceptions []netip.Prefix) error {
	return s.write(s.sets[name] != nil, func() {
		s.sets[name].Members = lacking(s.sets[name].Members, exceptions)
		s.sets[name].Exceptions = sorted(append(s.sets[name].Exceptions, exceptions...))
	})
}

// lacking is nil where nothing is left, as a set is read.
func lacking(from, gone []netip.Prefix) []netip.Prefix {
	left := slices.DeleteFunc(slices.Clone(from), func(p netip.Prefix) bool { return slices.Contains(gone, p) })
	return slices.Clip(append([]netip.Prefix(nil), left...))
}

// holds says what the kernel's set holds.
func (s *fakeSets) holds(t *testing.T, want rules.Set) {
	t.Helper()
	found := s.sets[want.Name]
	if found == nil || !slices.Equal(sorted(found.Members), want.Members) || !slices.Equal(sorted(found.Exceptions), want.Exceptions) {
		t.Errorf("%s holds %+v, want %v but %v", want.Name, found, want.Members, want.Exceptions)
	}
}

// TestExceptions brings a set from each state to each other: from what is known, from
// what is read, and with a failure at each step, after which it is brought there at the
// next try.
func TestExceptions(t *testing.T) {
	states := []rules.Set{
		{},
		{Members: prefixes("0.0.0.0/1", "128.0.0.0/1")},
		{Members: prefixes("0.0.0.0/1", "128.0.0.0/1"), Exceptions: prefixes("10.244.0.0/16", "203.0.113.7/32")},
		{Members: prefixes("128.0.0.0/1"), Exceptions: prefixes("0.0.0.0/1", "203.0.113.7/32")},
		{Members: prefixes("10.244.0.0/16"), Exceptions: prefixes("128.0.0.0/1")},
	}
	for from := range states {
		for to := range states {
			for failAt := range 8 {
				for _, known := range []bool{false, true} {
					none := 0
					sets := &fakeSets{sets: map[string]*ipset.Set{}, written: new(int), failAt: &none}
					a := &Applier{Sets: sets}
					plan := func(i int) rules.Plan {
						set := states[i]
						set.Name, set.Family = "outside", rules.IPv4
						return rules.Plan{Tables: []rules.Table{{Family: rules.IPv4, Peers: set}}}
					}
					if _, err := a.fill(plan(from)); err != nil {
						t.Fatal(err)
					}
					if !known {
						a.members = nil
					}
					*sets.written, *sets.failAt = 0, failAt
					differences, err := a.fill(plan(to))
					if err != nil {
						*sets.failAt = 0
						if a.members != nil {
							t.Fatal("after a failure the sets are taken for known")
						}
						if _, err := a.fill(plan(to)); err != nil {
							t.Fatal(err)
						}
					} else if (len(differences) > 0) == (known || from == to) {
						t.Errorf("%d to %d, known %v: differences %v", from, to, known, differences)
					}
					sets.holds(t, plan(to).Tables[0].Peers)
				}
			}
		}
	}
}

// TestAdopt holds that a plan which adopts leaves what sets hold, makes those that are
// missing or of another kind, and that what was adopted is known afterwards.
func TestAdopt(t *testing.T) {
	found := prefixes("10.244.0.7/32", "10.244.0.8/32")
	adopted := rules.Set{Name: "peers", Family: rules.IPv4}
	missing := rules.Set{Name: "kept", Family: rules.IPv4}
	strange := rules.Set{Name: "nodes", Family: rules.IPv4}
	none := 0
	sets := &fakeSets{written: new(int), failAt: &none, sets: map[string]*ipset.Set{
		"peers": {Kind: kind(adopted), Members: found},
		"nodes": {Kind: kind(strange), Members: found, Odd: true},
	}}
	a := &Applier{Sets: sets}
	plan := rules.Plan{Adopt: true, Tables: []rules.Table{{Family: rules.IPv4, Peers: adopted, Others: []rules.Set{missing, strange}}}}
	for try := range 2 {
		sets.reads = 0
		if _, err := a.fill(plan); err != nil {
			t.Fatal(err)
		}
		sets.holds(t, rules.Set{Name: "peers", Members: found})
		sets.holds(t, missing)
		sets.holds(t, strange)
		if try > 0 && sets.reads > 0 {
			t.Errorf("what is known is read again, %d times", sets.reads)
		}
	}
	plan.Adopt = false
	if _, err := a.fill(plan); err != nil {
		t.Fatal(err)
	}
	sets.holds(t, adopted)
}
