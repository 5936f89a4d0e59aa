//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// settling is how long changes may take to be heard after the last one, and
// settlingLost where streams were lost that will not hear of all.
const (
	settling     = time.Minute
	settlingLost = 5 * time.Second
)

// load is what was asked of a replica for a while, and what came of it.
type load struct {
	Tenants       int     `json:"tenants"`
	PodsPerTenant int     `json:"pods_per_tenant"`
	Pods          int     `json:"pods"`
	Sidecars      int     `json:"sidecars"`
	ChangesPerS   float64 `json:"changes_per_s"`
	Changes       int     `json:"changes"`
	Heard         int     `json:"heard"`
	// Missing is how often a change was not heard: never, but by streams that were Lost
	// and began anew with a snapshot.
	Missing int   `json:"missing"`
	Lost    int64 `json:"streams_lost"`
	// Before is how many sidecars heard of a change before the benchmark's own watch:
	// their times count as 0.
	Before int `json:"heard_before_the_watch"`

	// Applied is of every change at every sidecar that heard of it, Last of every
	// change at the last one. Sent is from before the write that the API server then
	// tells of: more than what the feed takes.
	Applied spread `json:"event_to_applied_ms"`
	Last    spread `json:"event_to_last_applied_ms"`
	Sent    spread `json:"write_to_applied_ms"`
	// BytesPerChange is to one sidecar, with TLS's own; Fanout is to how many.
	BytesPerChange float64 `json:"bytes_per_change"`
	Fanout         float64 `json:"sidecars_per_change"`

	ServerCores    float64 `json:"server_cpu_cores"`
	APIServerCores float64 `json:"api_server_cpu_cores"`
	OwnCores       float64 `json:"benchmark_cpu_cores"`
	ServerRSS      float64 `json:"server_rss_mib"`
	ServerPeak     float64 `json:"server_rss_mib_peak"`
	ServerReady    float64 `json:"server_ready_s"`
}

// measure has pods come and go in the fleet's tenants, and listens to its sidecars.
func (b *bench) measure(ctx context.Context, r *replica, f *fleet, rate float64, d time.Duration) (*load, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, s := range f.sidecars {
		s.hearings()
	}
	c := newChurn(b.world, f.tenants)
	if err := c.follow(ctx); err != nil {
		return nil, err
	}
	meter, err := b.read(r)
	if err != nil {
		return nil, err
	}
	attempts, bytes, began := f.attempts.Load(), f.received(), time.Now()
	if err := c.run(ctx, rate, d); err != nil {
		return nil, err
	}
	took := time.Since(began)
	l := &load{
		Tenants: len(b.world.tenants), Pods: b.world.pods, PodsPerTenant: len(f.tenants[0].pods), Sidecars: len(f.sidecars),
		ServerReady: report.Round(r.ready.Seconds(), 2),
	}
	if err := b.spent(l, r, meter, took); err != nil {
		return nil, err
	}
	if err := f.settle(ctx, c, attempts); err != nil {
		return nil, err
	}
	bytes = f.received() - bytes
	f.join(l, c)
	l.Lost = f.attempts.Load() - attempts
	l.ChangesPerS = report.Round(float64(l.Changes)/took.Seconds(), 2)
	l.BytesPerChange = report.Round(float64(bytes)/float64(max(1, l.Heard)), 1)
	l.Fanout = report.Round(float64(l.Heard)/float64(max(1, l.Changes)), 2)
	if err := c.clear(ctx); err != nil {
		return nil, err
	}
	if err := f.settle(ctx, c, attempts); err != nil {
		return nil, err
	}
	report.Progress("  %d sidecars, %.0f changes/s: applied p50 %.1f ms, p99 %.1f ms (p99 from the write %.1f); %.2f cores, %.0f MiB; %d missing",
		l.Sidecars, l.ChangesPerS, l.Applied.P50, l.Applied.P99, l.Sent.P99, l.ServerCores, l.ServerRSS, l.Missing)
	return l, nil
}

// settle waits until all that is due was heard; what is missing then is counted.
func (f *fleet) settle(ctx context.Context, c *churn, attempts int64) error {
	for began := time.Now(); f.heardSoFar() < c.due(); {
		if waited := time.Since(began); waited > settling || waited > settlingLost && f.attempts.Load() > attempts {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (f *fleet) heardSoFar() int {
	sum := 0
	for _, s := range f.sidecars {
		s.mutex.Lock()
		sum += len(s.heard)
		s.mutex.Unlock()
	}
	return sum
}

// join brings together what the API server told and what the sidecars heard.
func (f *fleet) join(l *load, c *churn) {
	due := c.due()
	c.mutex.Lock()
	defer c.mutex.Unlock()
	last := map[*change]time.Time{}
	var applied, lasts, sent []time.Duration
	for _, s := range f.sidecars {
		s.mutex.Lock()
		for _, h := range s.heard {
			change := c.changes[hearing{h.address, h.added}]
			if change == nil {
				continue
			}
			took := h.at.Sub(change.at)
			if took < 0 {
				l.Before++
			}
			applied, sent = append(applied, max(0, took)), append(sent, h.at.Sub(change.sent))
			if h.at.After(last[change]) {
				last[change] = h.at
			}
		}
		s.mutex.Unlock()
	}
	for change, at := range last {
		lasts = append(lasts, max(0, at.Sub(change.at)))
	}
	l.Changes, l.Heard, l.Missing = len(c.changes), len(applied), due-len(applied)
	l.Applied, l.Last = spreadOf(applied, time.Millisecond), spreadOf(lasts, time.Millisecond)
	l.Sent = spreadOf(sent, time.Millisecond)
}

// meters are processor times.
type meters struct{ server, apiServer, own time.Duration }

func (b *bench) read(r *replica) (m meters, err error) {
	if m.server, err = r.processorTime(); err != nil {
		return m, err
	}
	if m.apiServer, err = b.world.server.processorTime(); err != nil {
		return m, err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return m, fmt.Errorf("read the processor time: %w", err)
	}
	m.own = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return m, nil
}

// spent is what the time cost since the meters were read.
func (b *bench) spent(l *load, r *replica, before meters, took time.Duration) error {
	now, err := b.read(r)
	if err != nil {
		return err
	}
	cores := func(now, before time.Duration) float64 { return report.Round(float64(now-before)/float64(took), 3) }
	l.ServerCores, l.APIServerCores, l.OwnCores = cores(now.server, before.server), cores(now.apiServer, before.apiServer), cores(now.own, before.own)
	resident, peak, err := r.resident()
	l.ServerRSS, l.ServerPeak = report.Round(resident, 1), report.Round(peak, 1)
	return err
}

// reconnection is what it takes until all sidecars of a replica that is gone have a
// snapshot of another one, which has seen none of their tokens.
type reconnection struct {
	Jitter       bool    `json:"jitter"`
	Sidecars     int     `json:"sidecars"`
	All          float64 `json:"all_s"`
	Half         float64 `json:"half_s"`
	Attempts     int64   `json:"attempts"`
	ServerCPU    float64 `json:"server_cpu_s"`
	APIServerCPU float64 `json:"api_server_cpu_s"`
	ServerRSS    float64 `json:"server_rss_mib"`
	ServerPeak   float64 `json:"server_rss_mib_peak"`
}

// reconnect kills a replica and has the fleet find the other.
func (b *bench) reconnect(ctx context.Context, f *fleet, from, to *replica, jitter bool) (*reconnection, error) {
	f.jitter.Store(jitter)
	f.server.Store(&to.feed)
	before, err := b.read(to)
	if err != nil {
		return nil, err
	}
	attempts, moment := f.attempts.Load(), time.Now()
	from.kill()
	if err := f.await(ctx, moment); err != nil {
		return nil, err
	}
	after, err := b.read(to)
	if err != nil {
		return nil, err
	}
	waited := f.snapshots(moment)
	r := &reconnection{
		Jitter: jitter, Sidecars: len(f.sidecars), Attempts: f.attempts.Load() - attempts,
		All: report.Round(slices.Max(waited).Seconds(), 3), Half: spreadOf(waited, time.Second).P50,
		ServerCPU: report.Round((after.server - before.server).Seconds(), 2), APIServerCPU: report.Round((after.apiServer - before.apiServer).Seconds(), 2),
	}
	resident, peak, err := to.resident()
	r.ServerRSS, r.ServerPeak = report.Round(resident, 1), report.Round(peak, 1)
	report.Progress("  %d sidecars, jitter %v: all back after %.2f s, %d attempts, %.1f s of the replica's processor time", r.Sidecars, jitter, r.All, r.Attempts, r.ServerCPU)
	return r, err
}
