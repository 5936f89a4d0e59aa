package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// atOnce is how many checks are played at a time: most of their time is waiting for what does not come.
	atOnce = 6
	// tidyTimeout bounds taking everything away again.
	tidyTimeout = 90 * time.Second
)

// run is one run.
type run struct {
	options Options
	client  kubernetes.Interface
	tenants dynamic.NamespaceableResourceInterface
	config  *rest.Config
	id      string // on everything that the run makes
	report  Report
}

// Run verifies. An error means that the run could not be made or not be tidied up after; what the checks came to is in
// the report. When the context ends the run is broken off and tidied up.
func Run(ctx context.Context, o Options) (report Report, err error) {
	if err := o.Validate(); err != nil {
		return Report{}, err
	}
	r, err := newRun(o)
	if err != nil {
		return Report{}, err
	}
	began := time.Now()
	r.report.Started = began.UTC().Truncate(time.Second)
	limited, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("the run took longer than --timeout %s", o.Timeout))
	defer cancel()
	if err := r.step("preflight", "look whether this can be done", func() error { return r.preflight(limited) }); err != nil {
		return Report{}, err
	}
	err = r.play(limited)
	if err != nil && limited.Err() != nil && !errors.Is(err, context.Cause(limited)) {
		err = fmt.Errorf("%w: %w", context.Cause(limited), err)
	}
	err = errors.Join(err, r.tidy(ctx))
	r.report.time("total", time.Since(began))
	r.report.conclude()
	return r.report, err
}

func newRun(o Options) (*run, error) {
	config := rest.CopyConfig(o.Config)
	config.QPS = -1 // the server has limits of its own
	// What is refused is meant to be, and what is warned of is what every plain pod is warned of.
	config.WarningHandlerWithContext = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	resources, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &run{
		options: o, client: client, config: config, tenants: resources.Resource(tenantResource), id: newRunID(),
		report: Report{Mode: mode(o.Baseline), Timings: map[string]float64{}},
	}, nil
}

// preflight finds out before anything is made why a run would fail.
func (r *run) preflight(ctx context.Context) error {
	version, err := r.client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("reach the cluster: %w", err)
	}
	r.report.Cluster = version.GitVersion
	if err := checkRights(ctx, r.client, &r.options); err != nil {
		return err
	}
	if err := r.checkInstalled(ctx); err != nil {
		return err
	}
	if r.options.Existing && !r.options.Baseline {
		if err := errors.Join(r.readTenant(ctx, &r.options.A), r.readTenant(ctx, &r.options.B)); err != nil {
			return err
		}
	}
	return r.removeLeftovers(ctx)
}

// play makes the tenants and plays every check that was asked for.
func (r *run) play(ctx context.Context) error {
	var s *stage
	title := "make two tenants and their pods"
	if r.options.Existing {
		title = "make pods of the two tenants"
	}
	err := r.step("prepare", title, func() (err error) {
		s, err = r.prepare(ctx)
		return err
	})
	if err != nil {
		return err
	}
	chosen, err := choose(checks(), r.options.Checks, r.options.Skip)
	if err != nil {
		return err
	}
	r.progress("play %d checks, %s", len(chosen), r.report.Mode)
	began := time.Now()
	results := make([]Result, len(chosen))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, c := range chosen {
		group.Go(func() error {
			results[i] = c.run(ctx, s)
			if ctx.Err() == nil {
				r.progress("  %-11s  %-15s %s", results[i].told(s.protected), c.id, c.name)
			}
			return nil
		})
	}
	_ = group.Wait() // the checks' errors are in their results
	r.report.time("checks", time.Since(began))
	if ctx.Err() != nil {
		return context.Cause(ctx) // half of the results are of the breaking off
	}
	r.report.Experiments = results
	return nil
}

// tidy takes away what the run made, also when it was broken off, and says what it could not.
func (r *run) tidy(ctx context.Context) error {
	if r.options.Keep {
		r.progress("kept for a look, as --keep asks for; the next run, or this, takes it away:\n%s", r.removal())
		return nil
	}
	// A second interrupt must not leave anything without its name being told.
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), tidyTimeout, fmt.Errorf("it took longer than %s", tidyTimeout))
	defer cancel()
	err := r.step("tidy", "take everything away again", func() error { return r.remove(ctx, r.own()) })
	if err != nil {
		err = fmt.Errorf("some of what the run made is still there; take it away by\n%s\n%w", r.removal(), err)
	}
	return err
}

// step tells what is done and how long it took.
func (r *run) step(key, name string, do func() error) error {
	r.progress("%s …", name)
	began := time.Now()
	err := do()
	r.report.time(key, time.Since(began))
	return err
}

func (r *run) progress(format string, args ...any) {
	fmt.Fprintf(r.options.Progress, format+"\n", args...)
}

// time notes how long something took.
func (r *Report) time(key string, took time.Duration) { r.Timings[key] = seconds(took) }
