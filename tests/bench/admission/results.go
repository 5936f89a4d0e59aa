package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// results are what is written.
type results struct {
	Summary summary
	Details details
}

// summary is bench-admission.json.
type summary struct {
	P50    map[string]float64 `json:"review_us_p50"`
	P99    map[string]float64 `json:"review_us_p99"`
	Allocs map[string]float64 `json:"allocs"`
	RPS    map[string]float64 `json:"tls_rps"`
	TLSP99 map[string]float64 `json:"tls_p99_ms"`
	// RateP99 is of reviews that come at a set rate.
	RateP99     map[string]float64 `json:"tls_rate_p99_ms"`
	ResidentMiB float64            `json:"rss_mib_10000_namespaces,omitempty"`
	// Skipped says why something is absent.
	Skipped map[string]string `json:"skipped"`
}

// details is what the summary was made of, and where. Half of all reviews are of
// PSA's fixtures, half of ordinary pods.
type details struct {
	Machine machine  `json:"machine"`
	Notes   []string `json:"notes"`
	Pods    int      `json:"reviews_a_round"`
	// Reviews are by candidate and set of pods.
	Reviews map[string]map[string]spread `json:"review_us"`
	TLS     map[string]spread            `json:"tls_ms"`
	// ProcessorTime is of all reviews, the garbage collector's part with it: the
	// figure that a busy machine changes least.
	ProcessorTime map[string]float64 `json:"processor_us_mean"`
	// Denied counts the denials of one round.
	Denied map[string]int `json:"denied"`
}

// machine is what it ran on, with the processor's name.
type machine struct {
	CPU string `json:"cpu"`
	report.Machine
}

// spread is a distribution in a few figures.
type spread struct {
	Count int `json:"count"`
	report.Spread
}

func spreadOf(times []time.Duration, unit time.Duration) spread {
	return spread{len(times), report.SpreadOf(report.AllIn(unit, times))}
}

func newResults() results {
	return results{
		summary{
			P50: map[string]float64{}, P99: map[string]float64{}, Allocs: map[string]float64{},
			RPS: map[string]float64{}, TLSP99: map[string]float64{}, RateP99: map[string]float64{},
			Skipped: map[string]string{},
		},
		details{
			Machine: machine{processor(), report.ThisMachine()},
			Reviews: map[string]map[string]spread{}, TLS: map[string]spread{}, ProcessorTime: map[string]float64{}, Denied: map[string]int{},
		},
	}
}

// reviews takes a candidate's times.
func (r *results) reviews(candidate string, times map[string][]time.Duration) {
	r.Details.Reviews[candidate] = map[string]spread{}
	var all []time.Duration
	for set, of := range times {
		r.Details.Reviews[candidate][set] = spreadOf(of, time.Microsecond)
		all = append(all, of...)
	}
	whole := spreadOf(all, time.Microsecond)
	r.Summary.P50[candidate], r.Summary.P99[candidate] = whole.P50, whole.P99
}

func (r *results) skip(what, why string) {
	report.Progress("  skipped: %s", why)
	r.Summary.Skipped[what] = why
}

func (r *results) note(text string) { r.Details.Notes = append(r.Details.Notes, text) }

func (r *results) write(dir string) error {
	r.Details.Machine.End()
	if err := report.Write(dir, "bench-admission", r.Summary, r.Details, r.picture()); err != nil {
		return err
	}
	r.print(os.Stdout)
	return nil
}

// print tells a person.
func (r *results) print(w io.Writer) {
	s := &r.Summary
	fmt.Fprintf(w, "%-27s %10s %10s %8s %10s\n", "a review", "p50 us", "p99 us", "allocs", "CPU us")
	for _, name := range slices.Sorted(maps.Keys(s.P50)) {
		fmt.Fprintf(w, "%-27s %10.1f %10.1f %8.0f", name, s.P50[name], s.P99[name], s.Allocs[name])
		if spent, ok := r.Details.ProcessorTime[name]; ok {
			fmt.Fprintf(w, " %10.1f", spent)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-27s %10s %10s\n", "TLS, connections", "reviews/s", "p99 ms")
	for _, name := range slices.Sorted(maps.Keys(s.RPS)) {
		fmt.Fprintf(w, "%-27s %10.0f %10.2f\n", name, s.RPS[name], s.TLSP99[name])
	}
	fmt.Fprintf(w, "%-27s %10s %10s\n", "TLS, connections_at_rate", "", "p99 ms")
	for _, name := range slices.Sorted(maps.Keys(s.RateP99)) {
		fmt.Fprintf(w, "%-27s %10s %10.2f\n", name, "", s.RateP99[name])
	}
	if s.ResidentMiB > 0 {
		fmt.Fprintf(w, "resident with 10,000 namespaces: %.1f MiB\n", s.ResidentMiB)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Skipped)) {
		fmt.Fprintf(w, "skipped %s: %s\n", name, s.Skipped[name])
	}
	m := r.Details.Machine
	fmt.Fprintf(w, "%d × %s, %s; load %s before, %s after\n", m.Processors, m.CPU, m.Go, m.LoadBefore, m.LoadAfter)
}

// processor is the processor's name, or its architecture where that cannot be told.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // absent outside Linux
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}

// picture is of the reviews, over one axis.
func (r *results) picture() string {
	var ranges []report.Range
	for _, name := range slices.SortedFunc(maps.Keys(r.Summary.P50), func(a, b string) int { return cmp.Compare(r.Summary.P50[a], r.Summary.P50[b]) }) {
		p50, p99 := r.Summary.P50[name], r.Summary.P99[name]
		ranges = append(ranges, report.Range{Name: name, Low: p50, Middle: p50, High: p99, Says: fmt.Sprintf("%.0f to %.0f µs", p50, p99)})
	}
	var p report.Picture
	p.Ranges("a review, in µs: p50 (dot) to p99", true, ranges)
	return p.String()
}
