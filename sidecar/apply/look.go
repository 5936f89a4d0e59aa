//go:build linux

package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// state is what was read.
type state struct {
	// whole says that the tables are as planned; nothing else is read then.
	whole bool
	// snapshot is nil with legacy iptables.
	snapshot *nftables.Snapshot
	// shielded says that the guard is one that Alert woke.
	shielded bool
	// changes are what is other in it than when the plan was proven.
	changes []Difference
	// listings are nil until a tool was asked.
	listings map[rules.Family]*listing
	errs     map[rules.Family]error
}

// look reads as much of the tables as it takes to say whether they are whole. It runs
// a tool only where nothing is known of the rules yet and there are some.
func (a *Applier) look(plan rules.Plan) (*state, error) {
	known := a.inForce != nil && sameRules(a.inForce.plan, plan)
	found := &state{shielded: a.shielded > 0}
	if a.Kernel != nil {
		if known {
			generation, err := a.Kernel.Generation()
			if err == nil && generation == a.inForce.snapshot.Generation {
				found.whole, found.snapshot = true, a.inForce.snapshot
				return found, nil
			}
		}
		var err error
		if found.snapshot, err = a.Kernel.Look(); err != nil {
			return nil, err
		}
		if found.strangeGuard() || len(found.snapshot.Unsafe) > 0 {
			return found, nil
		}
		if known {
			found.changes = changes(plan, a.inForce.snapshot, found.snapshot)
			if len(found.changes) > 0 {
				return found, nil
			}
			if found.guarded() { // for nothing
				generation, err := a.Kernel.Lift(found.snapshot.Generation)
				if errors.Is(err, unix.ERESTART) { // changed again
					return found, nil
				}
				if err != nil {
					return nil, err
				}
				found.snapshot.Generation, found.snapshot.Guard = generation, nftables.GuardResting
			}
			found.whole = true
			a.inForce.snapshot = found.snapshot
			return found, nil
		}
		if a.inForce != nil || !hasChains(plan, found.snapshot) {
			return found, nil
		}
	}
	a.list(found)
	if len(found.differences(plan)) > 0 {
		return found, nil
	}
	if a.Kernel != nil {
		generation, err := a.Kernel.Generation()
		if err != nil || generation != found.snapshot.Generation {
			return found, err // what was listed may be other than what the digests are of
		}
	}
	found.whole = true
	a.inForce = &proof{plan: plan, snapshot: found.snapshot}
	return found, nil
}

// list asks iptables for the tables, once. A table that is not there is not asked for:
// iptables would make it.
func (a *Applier) list(found *state) {
	if found.listings != nil {
		return
	}
	found.listings, found.errs = map[rules.Family]*listing{}, map[rules.Family]error{}
	for family, tables := range a.Tables {
		if found.snapshot != nil && found.snapshot.Filter[familyNumber(family)] == nil {
			found.listings[family] = emptyListing("ACCEPT")
			continue
		}
		listing, err := list(tables)
		if err != nil {
			found.errs[family] = err
			continue
		}
		found.listings[family] = listing
	}
}

func list(tables Tables) (*listing, error) {
	lines, err := tables.List()
	if err != nil {
		return nil, err
	}
	return parseListing(lines)
}

// guarded says whether both families are closed already.
func (s *state) guarded() bool {
	if s.snapshot != nil {
		return s.snapshot.Guard == nftables.GuardStanding
	}
	for _, listing := range s.listings {
		if !listing.guarded() {
			return false
		}
	}
	return len(s.errs) == 0
}

// strangeGuard says that the guard stands though nobody here woke it, or was changed.
func (s *state) strangeGuard() bool {
	switch s.snapshot.Guard {
	case nftables.GuardAbsent, nftables.GuardResting:
		return false
	case nftables.GuardStanding:
		return !s.shielded
	}
	return true
}

// differences says in what the tables are not as planned; what a tool tells of it is
// more than what can be seen of digests.
func (s *state) differences(plan rules.Plan) []Difference {
	var found []Difference
	for _, table := range plan.Tables {
		if s.snapshot != nil {
			found = append(found, unhooked(table.Family, s.snapshot)...)
			found = append(found, twice(table, s.snapshot)...)
		}
		if err := s.errs[table.Family]; err != nil {
			found = append(found, Difference{protocol.TamperedTable, fmt.Sprintf("%s cannot be read: %v", table.Family, err)})
		} else if listing := s.listings[table.Family]; listing != nil {
			found = append(found, listing.differences(table)...)
		}
	}
	if len(found) == 0 {
		found = s.changes
	}
	if s.snapshot != nil && s.strangeGuard() {
		found = append(found, Difference{protocol.TamperedGuard, "the guard stands, or is not as it was made"})
	}
	for _, family := range []rules.Family{rules.IPv4, rules.IPv6} {
		for _, builtin := range builtins() {
			if s.listings[family].count(builtin, guard()) > 0 {
				found = append(found, Difference{protocol.TamperedGuard, fmt.Sprintf("%s %s has the guard", family, builtin)})
			}
		}
	}
	return found
}

// unsafe is an error if others' rules could change packets behind the plan's back.
func (s *state) unsafe() error {
	if s.snapshot == nil || len(s.snapshot.Unsafe) == 0 {
		return nil
	}
	const most = 3
	names := s.snapshot.Unsafe
	if len(names) > most {
		names = append(slices.Clone(names[:most]), fmt.Sprintf("%d more", len(names)-most))
	}
	return fmt.Errorf("rules that are not Bulkhead's could change packets behind its back: %s; remove them, or what puts them there", strings.Join(names, ", "))
}

// sameRules says whether two plans differ in the members of their sets at most.
func sameRules(one, other rules.Plan) bool {
	return slices.EqualFunc(one.Tables, other.Tables, func(a, b rules.Table) bool {
		return a.Family == b.Family && a.Peers.Name == b.Peers.Name &&
			slices.EqualFunc(a.Hooks, b.Hooks, func(a, b rules.Hook) bool { return a.Builtin == b.Builtin && slices.Equal(a.Rules, b.Rules) }) &&
			slices.EqualFunc(a.Chains, b.Chains, func(a, b rules.Chain) bool { return a.Name == b.Name && slices.Equal(a.Rules, b.Rules) })
	})
}
