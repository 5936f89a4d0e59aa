//go:build linux

package apply

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Sets are the ipsets of the network namespace, as far as Applier needs them.
type Sets interface {
	// Read returns a set, nil if there is none of the name.
	Read(name string) (*ipset.Set, error)
	Create(name string, ipv6 bool) error
	// Add, Except and Remove leave alone what is there or gone already. Except makes
	// exceptions, of members too, as Add makes members of exceptions.
	Add(name string, members []netip.Prefix) error
	Except(name string, exceptions []netip.Prefix) error
	Remove(name string, members []netip.Prefix) error
	// Swap exchanges the contents of two sets in one step.
	Swap(one, other string) error
	Destroy(name string) error
}

// fewMembers is how many are changed one by one in a set in use. It takes no time in
// which the set is neither the old nor the new one that would matter: who is no peer
// any longer goes first, and no stranger comes. More are filled in beside.
const fewMembers = 1000

// fill makes the sets equal to the plan and says in what those differed that had to
// be read.
func (a *Applier) fill(plan rules.Plan) ([]Difference, error) {
	known := a.members
	a.members = nil // in doubt, until all is done
	now := map[string]rules.Set{}
	var differences []Difference
	for _, table := range plan.Tables {
		for _, want := range table.Sets() {
			held, different, err := a.fillOne(want, known, plan.Adopt)
			differences = append(differences, different...)
			if err != nil {
				return differences, err
			}
			now[want.Name] = held
		}
	}
	a.members = now
	return differences, nil
}

// fillOne makes one set equal to what is wanted, or, if it is to be adopted and is a
// set at all, leaves it. It returns what the set holds then.
func (a *Applier) fillOne(want rules.Set, known map[string]rules.Set, adopt bool) (rules.Set, []Difference, error) {
	if count := len(want.Members) + len(want.Exceptions); count > ipset.Maximum {
		return want, nil, fmt.Errorf("set %s: %d members are more than the %d that a set takes", want.Name, count, ipset.Maximum)
	}
	held, ok := known[want.Name]
	var differences []Difference
	if !ok {
		found, err := a.Sets.Read(want.Name)
		if err != nil {
			return want, nil, err
		}
		whole := found != nil && found.Kind == kind(want) && !found.Odd
		if !adopt || !whole {
			differences = setDifferences(want, found)
		}
		if !whole {
			return want, differences, a.replace(want, found)
		}
		held = want
		held.Members, held.Exceptions = sorted(found.Members), sorted(found.Exceptions)
	}
	if adopt {
		return held, differences, nil
	}
	return want, differences, a.change(want, held)
}

// change brings a set from what it holds to what is wanted. What closes goes first.
func (a *Applier) change(want, held rules.Set) error {
	missing, strangers := compare(want.Members, held.Members)
	excepted, restored := compare(want.Exceptions, held.Exceptions)
	if len(missing)+len(strangers)+len(excepted)+len(restored) > fewMembers {
		return a.replace(want, &ipset.Set{Kind: kind(want)})
	}
	// What changes sides is there once, and must not be removed with its old side.
	_, strangers = compare(want.Exceptions, strangers)
	_, restored = compare(want.Members, restored)
	for _, step := range []struct {
		do      func(string, []netip.Prefix) error
		members []netip.Prefix
	}{{a.Sets.Except, excepted}, {a.Sets.Remove, strangers}, {a.Sets.Add, missing}, {a.Sets.Remove, restored}} {
		if len(step.members) == 0 {
			continue
		}
		if err := step.do(want.Name, step.members); err != nil {
			return err
		}
	}
	return nil
}

// replace fills a set beside the one in use and exchanges them in one step, so that no
// packet meets a half-filled one. A set of another type cannot be exchanged; it is
// removed, which the kernel refuses while a rule uses it. What is then in use is read
// back: a kernel that only says yes must not pass (D9).
func (a *Applier) replace(want rules.Set, found *ipset.Set) error {
	if found != nil && found.Kind != kind(want) {
		if err := a.Sets.Destroy(want.Name); err != nil {
			return err
		}
		found = nil
	}
	name := want.Name
	if found != nil {
		name += "-new"
		if left, err := a.Sets.Read(name); err != nil {
			return err
		} else if left != nil {
			if err := a.Sets.Destroy(name); err != nil {
				return err
			}
		}
	}
	if err := a.Sets.Create(name, want.Family == rules.IPv6); err != nil {
		return err
	}
	if len(want.Exceptions) > 0 {
		if err := a.Sets.Except(name, want.Exceptions); err != nil {
			return err
		}
	}
	if err := a.Sets.Add(name, want.Members); err != nil {
		return err
	}
	if found != nil {
		if err := a.Sets.Swap(name, want.Name); err != nil {
			return err
		}
		if err := a.Sets.Destroy(name); err != nil {
			return err
		}
	}
	built, err := a.Sets.Read(want.Name)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if differences := setDifferences(want, built); len(differences) > 0 {
		return fmt.Errorf("verify: the kernel does not hold what was set: %s", differences[0].Text)
	}
	return nil
}

func kind(set rules.Set) string { return ipset.Kind(set.Family == rules.IPv6) }

// setDifferences says in what a set is not what is wanted: of members and exceptions
// too much and too few, the first.
func setDifferences(want rules.Set, found *ipset.Set) []Difference {
	var differences []Difference
	report := func(format string, args ...any) {
		differences = append(differences, Difference{protocol.TamperedSet, fmt.Sprintf("set "+want.Name+" "+format, args...)})
	}
	switch {
	case found == nil:
		report("is missing")
		return differences
	case found.Kind != kind(want):
		report("is of type %q", found.Kind)
		return differences
	case found.Odd:
		report("has strange members, such as ones that expire")
	}
	more := func(members []netip.Prefix) string {
		if len(members) > 1 {
			return fmt.Sprintf(" and %d more", len(members)-1)
		}
		return ""
	}
	for _, side := range []struct {
		kind          string
		wanted, found []netip.Prefix
	}{{"", want.Members, found.Members}, {"the exception ", want.Exceptions, found.Exceptions}} {
		missing, strangers := compare(side.wanted, sorted(side.found))
		if len(strangers) > 0 {
			report("has %s%s%s too much", side.kind, strangers[0], more(strangers))
		}
		if len(missing) > 0 {
			report("lacks %s%s%s", side.kind, missing[0], more(missing))
		}
	}
	return differences
}

// compare tells what of the planned members is missing and what is there that was not
// planned. Both are sorted.
func compare(planned, found []netip.Prefix) (missing, strangers []netip.Prefix) {
	for len(planned) > 0 && len(found) > 0 {
		switch order := rules.Ascending(planned[0], found[0]); {
		case order == 0:
			planned, found = planned[1:], found[1:]
		case order < 0:
			missing, planned = append(missing, planned[0]), planned[1:]
		default:
			strangers, found = append(strangers, found[0]), found[1:]
		}
	}
	return append(missing, planned...), append(strangers, found...)
}

// sorted are the members of a set as it was read.
func sorted(members []netip.Prefix) []netip.Prefix {
	return slices.Compact(slices.SortedFunc(slices.Values(members), rules.Ascending))
}
