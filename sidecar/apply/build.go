//go:build linux

package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// build brings the tables in behind the guard, verifies them and lifts the guard.
func (a *Applier) build(ctx context.Context, plan rules.Plan, found *state) error {
	for _, table := range plan.Tables {
		listing := found.listings[table.Family]
		if a.Kernel != nil && (found.errs[table.Family] != nil || len(unhooked(table.Family, found.snapshot)) > 0) {
			// What iptables cannot read, or made sleep, or hung elsewhere.
			if err := a.Kernel.RemoveFilter(familyNumber(table.Family)); err != nil {
				return err
			}
			listing = nil
		} else if found.snapshot != nil && found.snapshot.Filter[familyNumber(table.Family)] == nil {
			listing = nil
		}
		if a.Kernel != nil && listing == nil {
			if err := a.Kernel.MakeFilter(familyNumber(table.Family)); err != nil {
				return err
			}
			listing = emptyListing("DROP")
		}
		if err := a.restore(ctx, table.Family, tableTransaction(table, listing, a.Kernel != nil)); err != nil {
			return fmt.Errorf("set the %s rules: %w", table.Family, err)
		}
	}
	const attempts = 5
	var err error
	for range attempts {
		if err = a.prove(ctx, plan); !errors.Is(err, unix.ERESTART) {
			return err
		}
	}
	return fmt.Errorf("others keep changing the rules: %w", err)
}

// prove reads the tables back and lifts the guard, if they are what is planned. With
// nftables the guard is lifted from the very generation that was read; if that has
// passed the error is unix.ERESTART.
func (a *Applier) prove(ctx context.Context, plan rules.Plan) error {
	built := &state{}
	if a.Kernel != nil {
		var err error
		if built.snapshot, err = a.Kernel.Look(); err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		if built.snapshot.Guard != nftables.GuardStanding {
			return errors.Join(a.Kernel.Guard(), fmt.Errorf("verify: the guard was taken away: %w", unix.ERESTART))
		}
		if err := built.unsafe(); err != nil {
			return err
		}
		built.snapshot.Guard = nftables.GuardResting // as it will be
	}
	a.list(built)
	var texts []string
	for _, difference := range built.differences(plan) {
		if difference.Kind != protocol.TamperedGuard {
			texts = append(texts, difference.Text)
		}
	}
	if len(texts) > 0 {
		return fmt.Errorf("verify: the kernel does not hold what was set: %s", strings.Join(texts, "; "))
	}
	if a.Kernel == nil {
		for _, table := range plan.Tables {
			if err := a.restore(ctx, table.Family, liftTransaction(built.listings[table.Family])); err != nil {
				return fmt.Errorf("lift the %s guard: %w", table.Family, err)
			}
		}
	} else {
		generation, err := a.Kernel.Lift(built.snapshot.Generation)
		if err != nil {
			return err
		}
		built.snapshot.Generation = generation
	}
	a.inForce = &proof{plan: plan, snapshot: built.snapshot}
	return nil
}
