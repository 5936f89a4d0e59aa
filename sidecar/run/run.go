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

// Firewall keeps one pod's rules.
type Firewall struct {
	Config   *config.Config
	Enforcer Enforcer
	// Look reads what is known of the pod.
	Look func() (rules.Pod, error)
	// Changes wakes Watch; closed when no more can come.
	Changes <-chan struct{}
	// Interval is how often Watch looks unasked, for what raises no event. It
	// waits longer where a look takes long, so as to use no more than a
	// two-hundredth of a processor.
	Interval time.Duration
	// Retry is how long Watch waits after a failure.
	Retry time.Duration
	// Count is how often Watch asks what was dropped.
	Count time.Duration
	Log   *slog.Logger
	// Reporter hears of what Log says too, or is nil.
	Reporter Reporter

	pod        rules.Pod // of the plan
	plan       rules.Plan
	planned    bool
	inForce    bool // the plan was ensured
	failed     string
	unrepaired *apply.Report // what was found first, since when
	since      time.Time
	tamperings int
}

// leisure is how many times as long as a look takes Watch waits until the next.
const leisure = 200

// Ensure looks, plans and applies once. After an error the guard stands, unless
// the error says that even this failed.
func (f *Firewall) Ensure(ctx context.Context) error {
	return f.ensure(ctx, f.Enforcer.Audit)
}

func (f *Firewall) ensure(ctx context.Context, enforce func(context.Context, rules.Plan) (apply.Report, error)) error {
	renewed, err := f.replan()
	if err != nil {
		f.planned, f.inForce = false, false
		return errors.Join(err, f.Enforcer.Guard(ctx))
	}
	found, err := enforce(ctx, f.plan)
	f.report(ctx, found, renewed, err)
	f.inForce = f.inForce || err == nil
	if err != nil {
		return fmt.Errorf("apply the rules: %w", err)
	}
	return nil
}

// replan makes the plan, if the pod is another than that of the last one, and says
// whether it did.
func (f *Firewall) replan() (bool, error) {
	pod, err := f.Look()
	if err != nil {
		return false, err
	}
	if f.planned && samePod(f.pod, pod) {
		return false, nil
	}
	plan, err := rules.Build(f.Config, pod, nil)
	if err != nil {
		return false, err
	}
	f.pod, f.plan, f.planned = pod, plan, true
	return true, nil
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
	timer := time.NewTimer(f.Interval)
	defer timer.Stop()
	counted := time.Now()
	for {
		enforce := f.Enforcer.Ensure
		select {
		case <-ctx.Done():
			f.count(unbroken)
			return nil
		case _, open := <-f.Changes:
			if !open && ctx.Err() == nil {
				return errors.New("watch the rules: the kernel's events have ended")
			}
			f.Enforcer.Alert()
		case <-timer.C:
			enforce = f.Enforcer.Audit
		}
		if ctx.Err() != nil {
			f.count(unbroken)
			return nil
		}
		start := time.Now()
		err := f.ensure(unbroken, enforce)
		wait := max(f.Interval, leisure*time.Since(start))
		if err != nil {
			wait = f.Retry
		} else if time.Since(counted) >= f.Count {
			counted = time.Now()
			f.count(ctx)
		}
		f.failure(ctx, err)
		timer.Reset(wait)
	}
}
