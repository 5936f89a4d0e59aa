//go:build linux

// Package run is the sidecar's life: bring the rules in once (bulkhead-init), or
// bring them in and keep them there (bulkhead-firewall). It ties the packages
// config, pod, rules, apply, watch and droplog together and knows nothing of
// iptables.
//
// Whatever wakes it, it does the same: look at the pod, plan, and have the plan
// ensured. So its own changes need no telling apart from foreign ones: they wake
// it once more and nothing differs then. What changed is judged by what the kernel
// holds, never by who is said to have changed it.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/peers"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Enforcer is what Firewall needs of package apply.
type Enforcer interface {
	// Ensure makes the kernel hold the plan and says in what it did not.
	Ensure(ctx context.Context, plan rules.Plan) (apply.Report, error)
	// Audit is Ensure that also looks at what raises no event.
	Audit(ctx context.Context, plan rules.Plan) (apply.Report, error)
	// Alert drops everything until Ensure, if somebody changed the rules. It is
	// the first thing to do when something changed, and quick.
	Alert()
	// Guard drops everything.
	Guard(ctx context.Context) error
	// Dropped is what was dropped since it was last asked.
	Dropped() ([]protocol.Drops, error)
}

// Peers is what Firewall needs of package peers, with addressing by identity.
type Peers interface {
	// Changed is sent to when Told may be another.
	Changed() <-chan struct{}
	Told() peers.Told
	// Applied says that the kernel holds what was told. It must not block.
	Applied(told peers.Told)
}

// Firewall keeps one pod's rules.
type Firewall struct {
	Config   *config.Config
	Enforcer Enforcer
	// Look reads what is known of the pod.
	Look func() (rules.Pod, error)
	// Peers tells the live peers, or is nil, with addressing by ranges.
	Peers Peers
	// Changes wakes Watch; closed when no more can come.
	Changes <-chan struct{}
	// Interval is how often Watch looks unasked, for what raises no event. It
	// waits longer where a look costs much, so as to use no more than a
	// two-hundredth of a processor.
	Interval time.Duration
	// Spent is the time of a processor that the process and its tools have used: on
	// a busy machine a look takes long and costs no more.
	Spent func() time.Duration
	// Retry is how long Watch waits after a failure.
	Retry time.Duration
	// Count is how often Watch asks what was dropped.
	Count time.Duration
	Log   *slog.Logger
	// Reporter hears of what Log says too, or is nil.
	Reporter Reporter

	pod        rules.Pod  // of the plan
	told       peers.Told // of the plan
	wrong      error      // why the plan is not as told
	plan       rules.Plan
	planned    bool
	inForce    bool // the plan was ensured
	failed     string
	unrepaired *apply.Report // what was found first, since when
	since      time.Time
	tamperings int
}

// leisure is how many times as long as a look costs Watch waits until the next.
const leisure = 200

// Ensure looks, plans and applies once. After an error the guard stands, unless
// the error says that even this failed.
func (f *Firewall) Ensure(ctx context.Context) error {
	return f.ensure(ctx, true)
}

// ensure does so, and with audit looks at what raises no event.
func (f *Firewall) ensure(ctx context.Context, audit bool) error {
	news, err := f.replan()
	if err != nil {
		f.planned, f.inForce = false, false
		return errors.Join(err, f.Enforcer.Guard(ctx))
	}
	if audit && news.sets && f.inForce {
		// First what is new in the sets: an audit could not tell it from tampering.
		if err := f.enforce(ctx, f.Enforcer.Ensure, news); err != nil {
			return err
		}
	}
	enforce := f.Enforcer.Ensure
	if audit {
		enforce = f.Enforcer.Audit
	}
	if err := f.enforce(ctx, enforce, news); err != nil {
		return err
	}
	if f.Peers != nil {
		f.Peers.Applied(f.told)
	}
	return f.wrong
}

func (f *Firewall) enforce(ctx context.Context, enforce func(context.Context, rules.Plan) (apply.Report, error), news news) error {
	found, err := enforce(ctx, f.plan)
	f.report(ctx, found, news, err)
	f.inForce = f.inForce || err == nil
	if err != nil {
		return fmt.Errorf("apply the rules: %w", err)
	}
	return nil
}

// news are the parts of a plan that may be others than in the one before.
type news struct{ rules, sets bool }

// explain says whether there is no more to the differences found.
func (n news) explain(differences []apply.Difference) bool {
	return n.rules || n.sets && !slices.ContainsFunc(differences, func(d apply.Difference) bool { return d.Kind != protocol.TamperedSet })
}

// replan makes the plan, if the pod or what was told of its peers is another than that
// of the last one.
func (f *Firewall) replan() (news, error) {
	pod, err := f.Look()
	if err != nil {
		return news{}, err
	}
	var told peers.Told
	if f.Peers != nil {
		told = f.Peers.Told()
	}
	other := news{rules: !f.planned || !samePod(f.pod, pod) || !slices.Equal(f.told.Open(), told.Open()), sets: f.told != told}
	if other == (news{}) {
		return other, nil
	}
	plan, err := rules.Build(f.Config, pod, told.Live)
	f.wrong = err
	if err != nil && told.Live != nil {
		// As if nothing had been told: closed, but for the feed, which may do better.
		plan, err = rules.Build(f.Config, pod, nil)
	}
	if err != nil {
		return news{}, err
	}
	plan.Adopt = told.Adopt
	f.pod, f.told, f.plan, f.planned = pod, told, plan, true
	return other, nil
}

// Await brings in what the feed tells first, with addressing by identity, if it does so
// within the patience. Without it nothing is open yet, which is no error.
func (f *Firewall) Await(ctx context.Context, patience time.Duration) error {
	if f.Peers == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for f.told.Live == nil {
		select {
		case <-f.Peers.Changed():
		case <-ctx.Done():
			f.Log.Warn("the feed has told nothing yet: nothing is open until it does", "tenant", f.Config.Tenant)
			return nil
		}
		if err := f.ensure(context.WithoutCancel(ctx), false); err != nil {
			return err
		}
	}
	return nil
}

func samePod(one, other rules.Pod) bool {
	return slices.Equal(one.Addresses, other.Addresses) && slices.Equal(one.Gateways, other.Gateways) &&
		one.IPv6 == other.IPv6 && one.Log == other.Log
}

// Watch ensures the rules at every change and every Interval until the context
// ends, which is no error, and counts once more then. It leaves the rules as they are. A failure is logged
// and tried again; the guard stands meanwhile.
func (f *Firewall) Watch(ctx context.Context) error {
	// What has begun is brought to its end, or the guard would stand over a
	// pod that goes on without its sidecar.
	unbroken := context.WithoutCancel(ctx)
	var told <-chan struct{}
	if f.Peers != nil {
		told = f.Peers.Changed()
	}
	timer := time.NewTimer(f.Interval)
	defer timer.Stop()
	counted := time.Now()
	for {
		audit, clock := false, true
		select {
		case <-ctx.Done():
			f.count(unbroken)
			return nil
		case _, open := <-f.Changes:
			if !open && ctx.Err() == nil {
				return errors.New("watch the rules: the kernel's events have ended")
			}
			f.Enforcer.Alert()
		case <-told:
			clock = false // however much is told, the clock goes on
		case <-timer.C:
			audit = true
		}
		if ctx.Err() != nil {
			f.count(unbroken)
			return nil
		}
		before := f.Spent()
		err := f.ensure(unbroken, audit)
		wait := max(f.Interval, leisure*(f.Spent()-before))
		if err != nil {
			wait = f.Retry
		} else if time.Since(counted) >= f.Count {
			counted = time.Now()
			f.count(ctx)
		}
		f.failure(ctx, err)
		if clock || err != nil {
			timer.Reset(wait)
		}
	}
}
