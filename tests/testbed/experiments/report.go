package experiments

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// Report is what a run came to. It is out/demo.json.
type Report struct {
	Experiments []Result `json:"experiments"`
	// Timings are in seconds. podReadyWithout and podReadyWith are medians from a pod's creation until it is Ready;
	// the others are the steps of the run.
	Timings map[string]float64 `json:"timings"`
}

// Result is one experiment's.
type Result struct {
	ID       string  `json:"id"`
	Name     string  `json:"name"`
	Without  Outcome `json:"without"`
	With     Outcome `json:"with"`
	Expected Outcome `json:"expected"` // of With; of Without it is always Reached
	Pass     bool    `json:"pass"`
	Detail   string  `json:"detail"`
}

func newReport() Report {
	report := Report{Timings: map[string]float64{}}
	for _, e := range all() {
		report.Experiments = append(report.Experiments, Result{ID: e.id, Name: e.name, Expected: e.expected})
	}
	return report
}

// time notes how long something took, to the millisecond.
func (r *Report) time(key string, took time.Duration) {
	r.Timings[key] = math.Round(took.Seconds()*1000) / 1000
}

// record notes one half of an experiment. Without an outcome, detail says why there is none.
func (r *Report) record(e experiment, protected bool, outcome Outcome, detail string) {
	for i := range r.Experiments {
		result := &r.Experiments[i]
		if result.ID != e.id {
			continue
		}
		if protected {
			result.With = outcome
			result.Detail += "; with: " + detail
		} else {
			result.Without = outcome
			result.Detail = "without: " + detail
		}
		result.Pass = result.Without == Reached && result.With == result.Expected
	}
}

// Passed says whether every experiment passed. A report without experiments has not passed.
func (r Report) Passed() bool {
	for _, result := range r.Experiments {
		if !result.Pass {
			return false
		}
	}
	return len(r.Experiments) > 0
}

// Write writes the report as JSON.
func (r Report) Write(path string) error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(content, '\n'), 0o644)
}

// Print writes the report for a person.
func (r Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nEXPERIMENT\tWHAT\tWITHOUT BULKHEAD\tWITH\tEXPECTED\tPASS\n")
	for _, result := range r.Experiments {
		pass := "yes"
		if !result.Pass {
			pass = "NO"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			result.ID, result.Name, orDash(result.Without), orDash(result.With), result.Expected, pass)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, result := range r.Experiments {
		if !result.Pass {
			fmt.Fprintf(out, "\n%s: %s\n", result.ID, result.Detail)
		}
	}
	_, err := fmt.Fprintf(out, "\nA pod is Ready %.2f s after its creation without Bulkhead, %.2f s with it (median of %d).\n",
		r.Timings["podReadyWithout"], r.Timings["podReadyWith"], podsMeasured)
	return err
}

func orDash(outcome Outcome) Outcome {
	if outcome == "" {
		return "-"
	}
	return outcome
}
