//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// results are what is written.
type results struct {
	Summary summary
	Details details
}

// summary is bench-feed.json.
type summary struct {
	AppliedP50     float64 `json:"event_to_applied_ms_p50"`
	AppliedP99     float64 `json:"event_to_applied_ms_p99"`
	BytesPerChange float64 `json:"bytes_per_change"`
	ServerRSS      float64 `json:"server_rss_mib"`
	ServerCores    float64 `json:"server_cpu_cores"`
	ReconnectAll   float64 `json:"reconnect_all_s"`
	Sidecars       int     `json:"sidecars"`
	Pods           int     `json:"pods"`
	Tenants        int     `json:"tenants"`
	ChangesPerS    float64 `json:"changes_per_s"`
	// WriteP50 and WriteP99 are from before the write: more than from the event.
	WriteP50 float64 `json:"write_to_applied_ms_p50"`
	WriteP99 float64 `json:"write_to_applied_ms_p99"`
}

// details is what the summary was made of, and how it grows.
type details struct {
	Notes []string `json:"notes"`
	// FillS is how long it took to write the cluster, in s.
	FillS float64 `json:"fill_s"`
	// ServerIdleMiB is what a replica has resident when it is ready.
	ServerIdleMiB float64         `json:"server_rss_mib_ready"`
	Main          *load           `json:"main"`
	Reconnects    []*reconnection `json:"reconnects"`
	ByTenants     []*load         `json:"by_tenants"`
	ByChanges     []*load         `json:"by_changes"`
	ByPods        []*load         `json:"by_pods_per_tenant"`
	// Exponents are the slopes of the logarithms: a figure grows with the given power
	// of what was varied.
	Exponents map[string]map[string]float64 `json:"exponents"`
	Machine   report.Machine                `json:"machine"`
}

func newResults() *results {
	r := &results{}
	r.Details.Machine = report.ThisMachine()
	r.Details.Notes = []string{
		"sidecars, API server, etcd and server share the processors",
		"bytes_per_change is to one sidecar, with TLS's own; times sidecars_per_change it is what a change costs in all",
		"server_rss_mib is the leader's at the end of the changes; reconnect_all_s is with jitter, to a replica that has seen none of the tokens",
		"the kernel's part of applying is not in event_to_applied: see update_ms_p50_100000 of bench-dataplane.json",
	}
	return r
}

// growths are the tables, with what is varied in each.
func (d *details) growths() []growth {
	return []growth{
		{"tenants", d.ByTenants, func(l *load) float64 { return float64(l.Tenants) }},
		{"changes_per_s", d.ByChanges, func(l *load) float64 { return l.ChangesPerS }},
		{"pods_per_tenant", d.ByPods, func(l *load) float64 { return float64(l.PodsPerTenant) }},
	}
}

type growth struct {
	name  string
	loads []*load
	of    func(*load) float64
}

// figures are what grows.
func figures() map[string]func(*load) float64 {
	return map[string]func(*load) float64{
		"event_to_applied_ms_p50": func(l *load) float64 { return l.Applied.P50 },
		"event_to_applied_ms_p99": func(l *load) float64 { return l.Applied.P99 },
		"bytes_per_change":        func(l *load) float64 { return l.BytesPerChange * l.Fanout },
		"server_cpu_cores":        func(l *load) float64 { return l.ServerCores },
		"server_rss_mib":          func(l *load) float64 { return l.ServerRSS },
		"server_ready_s":          func(l *load) float64 { return l.ServerReady },
	}
}

func (r *results) finish() {
	d := &r.Details
	d.Machine.End()
	d.FillS = report.Round(d.FillS, 1)
	d.Exponents = map[string]map[string]float64{}
	for _, g := range d.growths() {
		if len(g.loads) < 2 {
			continue
		}
		d.Exponents[g.name] = map[string]float64{}
		for figure, of := range figures() {
			d.Exponents[g.name][figure] = g.exponent(of)
		}
	}
	m := d.Main
	r.Summary = summary{
		m.Applied.P50, m.Applied.P99, m.BytesPerChange, m.ServerRSS, m.ServerCores, 0,
		m.Sidecars, m.Pods, m.Tenants, m.ChangesPerS, m.Sent.P50, m.Sent.P99,
	}
	if len(d.Reconnects) > 0 {
		r.Summary.ReconnectAll = d.Reconnects[0].All
	}
}

// exponent is the least squares' slope of the figure's logarithm over that of what was
// varied; 0 where there is none.
func (g growth) exponent(of func(*load) float64) float64 {
	var sx, sy, sxx, sxy, n float64
	for _, l := range g.loads {
		if of(l) <= 0 || g.of(l) <= 0 {
			continue
		}
		x, y := math.Log(g.of(l)), math.Log(of(l))
		sx, sy, sxx, sxy, n = sx+x, sy+y, sxx+x*x, sxy+x*y, n+1
	}
	if divisor := n*sxx - sx*sx; divisor > 0 {
		return report.Round((n*sxy-sx*sy)/divisor, 2)
	}
	return 0
}

func (r *results) write(dir string) error {
	r.finish()
	return report.Write(dir, "bench-feed", r.Summary, r.Details, r.picture())
}

// picture is of the times from event to applied, as they grow with what is varied.
func (r *results) picture() string {
	var p report.Picture
	for _, g := range r.Details.growths() {
		var ranges []report.Range
		for _, l := range g.loads {
			a := l.Applied
			ranges = append(ranges, report.Range{Name: fmt.Sprintf("%.0f", g.of(l)), Low: a.P50, Middle: a.P50, High: a.P99, Says: fmt.Sprintf("%.1f to %.1f ms", a.P50, a.P99)})
		}
		p.Ranges("from event to applied, in ms: p50 (dot) to p99, by "+g.name, false, ranges)
	}
	return p.String()
}

// print tells a person.
func (r *results) print(w io.Writer) {
	s, d := &r.Summary, &r.Details
	fmt.Fprintf(w, "%d tenants, %d pods, written in %.0f s; %d sidecars, %.0f changes/s\n", s.Tenants, s.Pods, d.FillS, s.Sidecars, s.ChangesPerS)
	fmt.Fprintf(w, "from event to applied: p50 %.1f ms, p99 %.1f ms (to the last of a change's %.0f: %.1f and %.1f; from the write: %.1f and %.1f)\n",
		s.AppliedP50, s.AppliedP99, d.Main.Fanout, d.Main.Last.P50, d.Main.Last.P99, d.Main.Sent.P50, d.Main.Sent.P99)
	fmt.Fprintf(w, "%.0f bytes a change and sidecar; server: %.0f MiB (%.0f when ready, peak %.0f), %.2f cores; API server %.2f cores\n",
		s.BytesPerChange, s.ServerRSS, d.ServerIdleMiB, d.Main.ServerPeak, s.ServerCores, d.Main.APIServerCores)
	for _, r := range d.Reconnects {
		fmt.Fprintf(w, "all reconnect, jitter %-5v: %.2f s (half %.2f), %d attempts, %.1f s of the server's processor time\n", r.Jitter, r.All, r.Half, r.Attempts, r.ServerCPU)
	}
	for _, g := range d.growths() {
		if len(g.loads) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%-15s %9s %9s %11s %7s %8s %8s\n", g.name, "p50 ms", "p99 ms", "bytes, all", "cores", "RSS MiB", "ready s")
		for _, l := range g.loads {
			fmt.Fprintf(w, "%-15.0f %9.1f %9.1f %11.0f %7.2f %8.0f %8.1f\n", g.of(l), l.Applied.P50, l.Applied.P99, l.BytesPerChange*l.Fanout, l.ServerCores, l.ServerRSS, l.ServerReady)
		}
		e := d.Exponents[g.name]
		fmt.Fprintf(w, "%-15s %9.2f %9.2f %11.2f %7.2f %8.2f %8.2f\n", "exponent", e["event_to_applied_ms_p50"], e["event_to_applied_ms_p99"],
			e["bytes_per_change"], e["server_cpu_cores"], e["server_rss_mib"], e["server_ready_s"])
	}
	fmt.Fprintf(w, "\n%d processors, %s; load %s before, %s after\n", d.Machine.Processors, d.Machine.Go, d.Machine.LoadBefore, d.Machine.LoadAfter)
}

// spread is a distribution in a few figures.
type spread struct {
	Count int `json:"count"`
	report.Spread
	Max float64 `json:"max"`
}

func spreadOf(times []time.Duration, unit time.Duration) spread {
	values := report.AllIn(unit, times)
	return spread{len(values), report.SpreadOf(values), report.Quantile(values, 1)}
}
