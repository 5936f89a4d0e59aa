//go:build linux

// Package apply brings a plan of package rules into the kernel and proves that it
// is there. It knows nothing of tenants: a plan in, a report of what differed out.
//
// Ensure looks at the tables and compares them with the plan. If they are equal it
// touches nothing. Otherwise the state is in doubt, and it goes:
//
//	shut     every packet is blocked, at once and without nftables
//	guard    everything of both families is dropped, in one transaction
//	sets     strangers out, missing members in; or filled beside and exchanged
//	tables   one iptables-restore --noflush transaction a family
//	verify   everything read back and compared
//	lift     the guard put to rest, if nothing changed since it was verified
//	open     packets pass again
//
// Rules are read in the words of iptables where they are first compared with the
// plan. From then on the kernel's own representation of them is known by its digest,
// and a look at that, which takes no tool, tells whether they are whole.
//
// An error at any point leaves the guard standing and the shutter shut. Nothing is ever removed on
// exit.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Kernel is the nftables ruleset, as far as Applier needs it.
type Kernel interface {
	// Generation changes with every change of the ruleset.
	Generation() (uint32, error)
	// Look reads the ruleset.
	Look() (*nftables.Snapshot, error)
	// Guard drops every packet, until Lift. Wake does so without a look at what
	// is there.
	Guard() error
	Wake() error
	// Lift fails with unix.ERESTART if the generation is another one, and
	// returns the one that follows.
	Lift(generation uint32) (uint32, error)
	// RemoveFilter deletes iptables' filter table of a family, MakeFilter makes
	// one that drops.
	RemoveFilter(family uint8) error
	MakeFilter(family uint8) error
}

// Applier drives the tables and sets of one network namespace. It is not for
// concurrent use.
type Applier struct {
	// Tables are those of the families that the kernel has.
	Tables map[rules.Family]Tables
	Sets   Sets
	// Kernel is nil with legacy iptables: the guard is then a rule in front of
	// all others, and every look at the rules runs a tool.
	Kernel Kernel
	// Shutter is nil where the kernel has none: the guard then comes when it can.
	Shutter Shutter

	// inForce is what was last proven, nil before and while in doubt.
	inForce *proof
	// members are what the sets are known to hold, sorted.
	members map[string]rules.Set
	// alerted is when Alert woke the guard, shielded how long it was until the pod
	// was closed; 0 if it did not.
	alerted  time.Time
	shielded time.Duration
	// counted is what Dropped read last, by rule.
	counted map[counter]count
}

// proof is a plan that the kernel was seen to hold.
type proof struct {
	plan     rules.Plan
	snapshot *nftables.Snapshot // of the nftables backend
}

// Difference is something that is not as planned.
type Difference struct {
	Kind protocol.TamperingKind
	Text string
}

func (d Difference) String() string { return d.Text }

// Report says what Ensure found and how long it took.
type Report struct {
	// Differences are none if nothing was touched.
	Differences []Difference
	// Guarded is the time until the pod was closed, 0 if that was not needed.
	Guarded time.Duration
	// Whole is the time until everything was as planned.
	Whole time.Duration
}

// Alert guards at once if the ruleset is another than the proven one. What changed, if
// anything of Bulkhead's did, Ensure sees behind the guard.
func (a *Applier) Alert() {
	if a.Kernel == nil || a.inForce == nil {
		return
	}
	start := time.Now()
	if generation, err := a.Kernel.Generation(); err == nil && generation == a.inForce.snapshot.Generation {
		return // nothing changed, or Bulkhead changed it
	}
	if closed, err := a.closeBy(a.Kernel.Wake); err == nil { // or Ensure sets it
		a.alerted, a.shielded = start, closed.Sub(start)
	}
}

// Ensure makes the kernel's state equal to the plan. What the sets hold it takes from
// its own memory, if it has one: they raise no event that could have woken it.
func (a *Applier) Ensure(ctx context.Context, plan rules.Plan) (Report, error) {
	start := cmp.Or(a.alerted, time.Now())
	report := Report{Guarded: a.shielded}
	defer func() { a.alerted, a.shielded = time.Time{}, 0 }()
	err := a.ensure(ctx, plan, func(differences ...Difference) {
		report.Differences = append(report.Differences, differences...)
	}, func(closed time.Time) { report.Guarded = cmp.Or(report.Guarded, closed.Sub(start)) })
	if err == nil {
		err = a.unshut()
	}
	report.Whole = time.Since(start)
	return report, err
}

// Audit is Ensure with every member of the sets read.
func (a *Applier) Audit(ctx context.Context, plan rules.Plan) (Report, error) {
	a.members = nil
	return a.Ensure(ctx, plan)
}

func (a *Applier) ensure(ctx context.Context, plan rules.Plan, differ func(...Difference), guarded func(time.Time)) error {
	shut := func(cause error) error {
		a.inForce, a.members = nil, nil // who changed the rules may have changed the sets
		closed, err := a.guard(ctx)
		guarded(closed)
		return errors.Join(cause, err)
	}
	if err := a.covers(plan); err != nil {
		return shut(err)
	}
	found, err := a.look(plan)
	if err != nil {
		return shut(err)
	}
	if !found.whole {
		a.inForce, a.members = nil, nil
		if !found.guarded() {
			if err := shut(nil); err != nil {
				return err
			}
		}
		a.list(found)
		differ(found.differences(plan)...)
		if err := found.unsafe(); err != nil {
			return err
		}
	}
	differences, err := a.fill(plan)
	differ(differences...)
	if err != nil {
		return shut(err)
	}
	if found.whole {
		a.inForce.plan = plan
		return nil
	}
	if err := a.build(ctx, plan, found); err != nil {
		return shut(err)
	}
	return nil
}

// Guard closes the pod: to be called when there is no plan.
func (a *Applier) Guard(ctx context.Context) error {
	a.inForce, a.members = nil, nil
	_, err := a.guard(ctx)
	return err
}

// guard closes both families and says when they were closed.
func (a *Applier) guard(ctx context.Context) (time.Time, error) {
	return a.closeBy(func() error { return a.stand(ctx) })
}

// stand sets the guard, by nftables itself if it can. One family that fails does not
// keep the other open.
func (a *Applier) stand(ctx context.Context) error {
	var errs []error
	if a.Kernel != nil {
		err := a.Kernel.Guard()
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	closed := true
	for family, tables := range a.Tables {
		found, err := list(tables)
		if err != nil {
			found = nil // is flushed with the guard's coming
		}
		if err := a.restore(ctx, family, guardTransaction(found)); err != nil {
			closed = false
			errs = append(errs, fmt.Errorf("set the %s guard: %w", family, err))
		}
	}
	if closed && a.Kernel == nil {
		return nil
	}
	return errors.Join(errs...)
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

// restore executes a transaction, if there is anything in it.
func (a *Applier) restore(ctx context.Context, family rules.Family, transaction string) error {
	if transaction == "" {
		return nil
	}
	return a.Tables[family].Restore(ctx, transaction)
}
