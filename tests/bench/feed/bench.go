//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// small is how many tenants have sidecars in the steps of the growth.
const small = 4

// bench is what the steps share.
type bench struct {
	options
	world   *world
	webhook *webhook
	results *results

	replica *replica // that serves
	fleet   *fleet   // of the main measurement
}

// run does it all. What was found before an error is found.
func run(ctx context.Context, o options) (_ *results, err error) {
	dir, err := os.MkdirTemp("", "bulkhead-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	control, err := startControlPlane(ctx, dir, o.kubernetes)
	if err != nil {
		return nil, err
	}
	defer control.stop()
	b := &bench{options: o, results: newResults(), world: &world{controlPlane: control, writers: o.writers, podsPerService: o.podsPerService}}
	defer b.end()
	if err := b.world.prepare(ctx, o.crds); err != nil {
		return nil, err
	}
	if b.webhook, err = newWebhook(ctx, dir, control); err != nil {
		return nil, err
	}
	return b.results, report.Run(ctx, []report.Step{
		{Title: "fill the cluster, and growth with the tenants", Do: b.fill},
		{Title: "pods come and go", Do: b.main},
		{Title: "all sidecars lose their replica", Do: b.reconnects},
		{Title: "growth with the changes a second", Do: b.growChanges},
		{Title: "growth with the pods of a tenant", Do: b.growPods},
	})
}

func (b *bench) end() {
	if b.fleet != nil {
		b.fleet.land()
	}
	if b.replica != nil {
		b.replica.kill()
	}
}

// fill makes the tenants. At an eighth of them, a quarter, half and all a replica is
// started and measured with few sidecars.
func (b *bench) fill(ctx context.Context) error {
	for _, part := range []int{8, 4, 2, 1} {
		n := b.tenants/part - len(b.world.tenants)
		if b.noGrowth && part > 1 || n <= 0 {
			continue
		}
		began := time.Now()
		if _, err := b.world.add(ctx, "tenant", n, b.pods); err != nil {
			return err
		}
		took := time.Since(began)
		b.results.Details.FillS += took.Seconds()
		report.Progress("  %d tenants with %d pods more took %s", n, n*b.pods, took.Round(time.Second))
		if b.noGrowth {
			continue
		}
		r, err := b.webhook.start(ctx, true)
		if err != nil {
			return err
		}
		found, err := b.measureTenants(ctx, r, b.world.tenants[:min(small, len(b.world.tenants))], b.changes)
		r.stop()
		if err != nil {
			return err
		}
		b.results.Details.ByTenants = append(b.results.Details.ByTenants, found)
	}
	return nil
}

// measureTenants measures with sidecars of these tenants alone.
func (b *bench) measureTenants(ctx context.Context, r *replica, tenants []*tenant, rate float64) (*load, error) {
	f, err := launch(ctx, b.world, b.webhook.roots, r.feed, tenants)
	if err != nil {
		return nil, err
	}
	defer f.land()
	return b.measure(ctx, r, f, rate, b.stepTime)
}

func (b *bench) main(ctx context.Context) (err error) {
	if b.replica, err = b.webhook.start(ctx, true); err != nil {
		return err
	}
	resident, _, err := b.replica.resident()
	if err != nil {
		return err
	}
	b.results.Details.ServerIdleMiB = report.Round(resident, 1)
	began := time.Now()
	tenants := b.world.tenants[:b.sidecars/b.pods]
	if b.fleet, err = launch(ctx, b.world, b.webhook.roots, b.replica.feed, tenants); err != nil {
		return err
	}
	report.Progress("  %d sidecars have their snapshots after %s", len(b.fleet.sidecars), time.Since(began).Round(time.Millisecond))
	b.results.Details.Main, err = b.measure(ctx, b.replica, b.fleet, b.changes, b.time)
	return err
}

// reconnects kills each replica in turn.
func (b *bench) reconnects(ctx context.Context) error {
	for _, jitter := range []bool{true, false} {
		next, err := b.webhook.start(ctx, false)
		if err != nil {
			return err
		}
		before := b.replica
		b.replica = next
		found, err := b.reconnect(ctx, b.fleet, before, next, jitter)
		if err != nil {
			return err
		}
		b.results.Details.Reconnects = append(b.results.Details.Reconnects, found)
	}
	b.fleet.jitter.Store(true)
	return nil
}

func (b *bench) growChanges(ctx context.Context) error {
	if b.noGrowth {
		return nil
	}
	for _, times := range []float64{0.25, 0.5, 1, 2} {
		found, err := b.measure(ctx, b.replica, b.fleet, times*b.changes, b.stepTime)
		if err != nil {
			return err
		}
		b.results.Details.ByChanges = append(b.results.Details.ByChanges, found)
	}
	return nil
}

// growPods has half of the changes, so that the largest tenants have no more to be told
// in all than those of the main measurement.
func (b *bench) growPods(ctx context.Context) error {
	b.fleet.land()
	b.fleet = nil
	if b.noGrowth {
		return nil
	}
	for _, pods := range []int{b.pods / 4, b.pods / 2, b.pods, 2 * b.pods} {
		tenants, err := b.world.add(ctx, fmt.Sprintf("of-%d", pods), small, max(1, pods))
		if err != nil {
			return err
		}
		found, err := b.measureTenants(ctx, b.replica, tenants, b.changes/2)
		if err != nil {
			return err
		}
		b.results.Details.ByPods = append(b.results.Details.ByPods, found)
	}
	return nil
}
