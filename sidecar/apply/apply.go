// Package apply brings a plan of package rules into the kernel and proves that it
// is there. It knows nothing of tenants: a plan in, a report of what differed out.
//
// Ensure reads the tables and sets and compares them with the plan. If they are
// equal it touches nothing. Otherwise the state is in doubt, and it goes:
//
//	guard    a DROP at position 1 of INPUT, OUTPUT and FORWARD, both families
//	sets     each filled beside the one in use and exchanged (ipset swap)
//	tables   one iptables-restore --noflush transaction a family
//	verify   everything read back and compared
//	lift     the guard taken away
//
// An error at any point leaves the guard standing. Nothing is ever removed on
// exit.
package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Applier drives the tables and sets of one network namespace. It is not for
// concurrent use.
type Applier struct {
	// Tables are those of the families that the kernel has.
	Tables map[rules.Family]Tables
	Sets   Sets
}

// state is what was read.
type state struct {
	tables map[rules.Family]*listing // without those that could not be read
	sets   map[string]*savedSet
	errs   map[rules.Family]error
}

// Ensure makes the kernel's state equal to the plan and returns in what it had
// differed: nothing, if nothing was touched.
func (a *Applier) Ensure(ctx context.Context, plan rules.Plan) ([]string, error) {
	if err := a.covers(plan); err != nil {
		return nil, errors.Join(err, a.Guard(ctx))
	}
	found, err := a.read(ctx)
	if err != nil {
		return nil, errors.Join(err, a.guard(ctx, found))
	}
	differed := append(found.differences(plan), found.guards()...)
	if len(differed) == 0 {
		return nil, nil
	}
	if err := a.guard(ctx, found); err != nil {
		return differed, err
	}
	return differed, a.build(ctx, plan, found)
}

// Guard closes the pod, but for nothing: to be called when there is no plan.
func (a *Applier) Guard(ctx context.Context) error {
	found, err := a.read(ctx)
	return errors.Join(err, a.guard(ctx, found))
}

// covers says whether the plan has a table for each family of the kernel, and
// none for another.
func (a *Applier) covers(plan rules.Plan) error {
	for _, table := range plan.Tables {
		if a.Tables[table.Family] == nil {
			return fmt.Errorf("%s is in the plan but not in the kernel", table.Family)
		}
	}
	if len(plan.Tables) != len(a.Tables) {
		return fmt.Errorf("the plan has tables for %d families, the kernel for %d", len(plan.Tables), len(a.Tables))
	}
	return nil
}

// read looks at everything. A table that cannot be read is reported as a
// difference later; sets that cannot be read are an error.
func (a *Applier) read(ctx context.Context) (*state, error) {
	found := &state{tables: map[rules.Family]*listing{}, errs: map[rules.Family]error{}}
	for family, tables := range a.Tables {
		lines, err := tables.List()
		if err == nil {
			found.tables[family], err = parseListing(lines)
		}
		if err != nil {
			found.errs[family] = err
		}
	}
	saved, err := a.Sets.Save(ctx)
	if err != nil {
		return found, err
	}
	found.sets, err = parseSets(saved)
	return found, err
}

// guard closes the families. One that fails does not keep the other open.
func (a *Applier) guard(ctx context.Context, found *state) error {
	var errs []error
	for family := range a.Tables {
		if err := a.restore(ctx, family, guardTransaction(found.tables[family])); err != nil {
			errs = append(errs, fmt.Errorf("set the %s guard: %w", family, err))
		}
	}
	return errors.Join(errs...)
}

// build brings the plan in behind the guard, verifies it and lifts the guard.
func (a *Applier) build(ctx context.Context, plan rules.Plan, found *state) error {
	var scripts strings.Builder
	for _, table := range plan.Tables {
		if len(setDifferences(table.Peers, found.sets[table.Peers.Name])) > 0 {
			scripts.WriteString(setScript(table.Peers, found.sets))
		}
	}
	if scripts.Len() > 0 {
		if err := a.Sets.Restore(ctx, scripts.String()); err != nil {
			return fmt.Errorf("fill the sets: %w", err)
		}
	}
	for _, table := range plan.Tables {
		if err := a.restore(ctx, table.Family, tableTransaction(table, found.tables[table.Family])); err != nil {
			return fmt.Errorf("set the %s rules: %w", table.Family, err)
		}
	}
	built, err := a.read(ctx)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if differences := built.differences(plan); len(differences) > 0 {
		return fmt.Errorf("verify: the kernel does not hold what was set: %s", strings.Join(differences, "; "))
	}
	for _, table := range plan.Tables {
		if err := a.restore(ctx, table.Family, liftTransaction(built.tables[table.Family])); err != nil {
			return fmt.Errorf("lift the %s guard: %w", table.Family, err)
		}
	}
	return nil
}

// restore executes a transaction, if there is anything in it.
func (a *Applier) restore(ctx context.Context, family rules.Family, transaction string) error {
	if transaction == "" {
		return nil
	}
	return a.Tables[family].Restore(ctx, transaction)
}

// differences says in what the state is not what is planned, guards aside.
func (s *state) differences(plan rules.Plan) []string {
	var differences []string
	for _, table := range plan.Tables {
		if err := s.errs[table.Family]; err != nil {
			differences = append(differences, fmt.Sprintf("%s cannot be read: %v", table.Family, err))
			continue
		}
		differences = append(differences, s.tables[table.Family].differences(table)...)
		differences = append(differences, setDifferences(table.Peers, s.sets[table.Peers.Name])...)
	}
	return differences
}

// guards says where a guard stands.
func (s *state) guards() []string {
	var standing []string
	for family, found := range s.tables {
		for _, builtin := range builtins() {
			if found.count(builtin, guard()) > 0 {
				standing = append(standing, fmt.Sprintf("%s %s has the guard", family, builtin))
			}
		}
	}
	slices.Sort(standing)
	return standing
}
