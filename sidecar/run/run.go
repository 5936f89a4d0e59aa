// Package run is the sidecar's life: bring the rules in once (bulkhead-init), or
// bring them in and keep them there (bulkhead-firewall). It ties the packages
// config, pod, rules, apply and watch together and knows nothing of iptables.
//
// Whatever wakes it, it does the same: look at the pod, plan, and have the plan
// ensured. So its own changes need no telling apart from foreign ones: they wake
// it once more and nothing differs then.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Enforcer is what Firewall needs of package apply.
type Enforcer interface {
	// Ensure makes the kernel hold the plan and returns in what it did not.
	Ensure(ctx context.Context, plan rules.Plan) ([]string, error)
	// Guard drops everything.
	Guard(ctx context.Context) error
}

// Firewall keeps one pod's rules.
type Firewall struct {
	Config   *config.Config
	Enforcer Enforcer
	// Look reads what is known of the pod.
	Look func() (rules.Pod, error)
	// Changes wakes Watch; closed when no more can come.
	Changes <-chan struct{}
	// Interval is how often Watch looks unasked, for what raises no event.
	Interval time.Duration
	// Retry is how long Watch waits after a failure.
	Retry time.Duration
	Log   *slog.Logger
	// Reporter hears of what Log says too, or is nil.
	Reporter Reporter

	last       string // the last plan that was ensured
	tamperings int
}

// Ensure looks, plans and applies once. After an error the guard stands, unless
// the error says that even this failed.
func (f *Firewall) Ensure(ctx context.Context) error {
	pod, err := f.Look()
	if err != nil {
		return errors.Join(err, f.Enforcer.Guard(ctx))
	}
	plan, err := rules.Build(f.Config, pod)
	if err != nil {
		return errors.Join(err, f.Enforcer.Guard(ctx))
	}
	start := time.Now()
	differed, err := f.Enforcer.Ensure(ctx, plan)
	f.report(differed, plan.String(), time.Since(start))
	if err != nil {
		return fmt.Errorf("apply the rules: %w", err)
	}
	f.last = plan.String()
	return nil
}

// report says what was found. Differences from a plan that was in force before
// are tampering: nobody but this sidecar has reason to change its rules.
func (f *Firewall) report(differed []string, plan string, took time.Duration) {
	if len(differed) == 0 {
		return
	}
	attributes := []any{"tenant", f.Config.Tenant, "took", took.String(), "differences", differed}
	switch f.last {
	case "":
		f.Log.Info("rules brought in", "tenant", f.Config.Tenant, "took", took.String(), "differences", len(differed))
	case plan:
		f.tamperings++
		f.Log.Warn("rules were tampered with and repaired", append(attributes, "tamperings", f.tamperings)...)
	default:
		f.Log.Info("rules renewed for the pod's new addresses", attributes...)
	}
}

// Watch ensures the rules at every change and every Interval until the context
// ends, which is no error. It leaves the rules as they are. A failure is logged
// and tried again; the guard stands meanwhile.
func (f *Firewall) Watch(ctx context.Context) error {
	// What has begun is brought to its end, or the guard would stand over a
	// pod that goes on without its sidecar.
	unbroken := context.WithoutCancel(ctx)
	timer := time.NewTimer(f.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, open := <-f.Changes:
			if !open && ctx.Err() == nil {
				return errors.New("watch the rules: the kernel's events have ended")
			}
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return nil
		}
		wait := f.Interval
		if err := f.Ensure(unbroken); err != nil {
			f.Log.Error("rules are not in force", "tenant", f.Config.Tenant, "error", err.Error())
			wait = f.Retry
		}
		timer.Reset(wait)
	}
}
