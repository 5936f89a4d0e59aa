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
	// Add and Remove leave alone what is there or gone already.
	Add(name string, members []netip.Prefix) error
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
	now := map[string][]netip.Prefix{}
	var differences []Difference
	for _, table := range plan.Tables {
		want := table.Peers
		planned := want.Members
		if len(planned) > ipset.Maximum {
			return differences, fmt.Errorf("set %s: %d members are more than the %d that a set takes", want.Name, len(planned), ipset.Maximum)
		}
		members, ok := known[want.Name]
		if !ok {
			found, err := a.Sets.Read(want.Name)
			if err != nil {
				return differences, err
			}
			differences = append(differences, setDifferences(want, planned, found)...)
			if found == nil || found.Kind != kind(want) || found.Odd {
				if err := a.replace(want, planned, found); err != nil {
					return differences, err
				}
				now[want.Name] = planned
				continue
			}
			members = sorted(found.Members)
		}
		if err := a.change(want, planned, members); err != nil {
			return differences, err
		}
		now[want.Name] = planned
	}
	a.members = now
	return differences, nil
}

// change brings a set from its members to those planned.
func (a *Applier) change(want rules.Set, planned, members []netip.Prefix) error {
	missing, strangers := compare(planned, members)
	if len(missing)+len(strangers) > fewMembers {
		return a.replace(want, planned, &ipset.Set{Kind: kind(want)})
	}
	if len(strangers) > 0 {
		if err := a.Sets.Remove(want.Name, strangers); err != nil {
			return err
		}
	}
	if len(missing) > 0 {
		return a.Sets.Add(want.Name, missing)
	}
	return nil
}

// replace fills a set beside the one in use and exchanges them in one step, so that no
// packet meets a half-filled one. A set of another type cannot be exchanged; it is
// removed, which the kernel refuses while a rule uses it. What is then in use is read
// back: a kernel that only says yes must not pass (D9).
func (a *Applier) replace(want rules.Set, planned []netip.Prefix, found *ipset.Set) error {
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
	if err := a.Sets.Add(name, planned); err != nil {
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
	if differences := setDifferences(want, planned, built); len(differences) > 0 {
		return fmt.Errorf("verify: the kernel does not hold what was set: %s", differences[0].Text)
	}
	return nil
}

func kind(set rules.Set) string { return ipset.Kind(set.Family == rules.IPv6) }

// setDifferences says in what a set is not what is planned: of members too much and
// too few, the first.
func setDifferences(want rules.Set, planned []netip.Prefix, found *ipset.Set) []Difference {
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
		report("has strange members, such as exceptions or ones that expire")
	}
	missing, strangers := compare(planned, sorted(found.Members))
	more := func(members []netip.Prefix) string {
		if len(members) > 1 {
			return fmt.Sprintf(" and %d more", len(members)-1)
		}
		return ""
	}
	if len(strangers) > 0 {
		report("has %s%s too much", strangers[0], more(strangers))
	}
	if len(missing) > 0 {
		report("lacks %s%s", missing[0], more(missing))
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
