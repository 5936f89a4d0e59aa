// Package results holds what experiments came to, without and with Bulkhead, for people and for programs: it is the
// form of out/demo.json and out/experiments.json.
package results

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

// Outcome is what an attempt came to, as the one who tried sees it.
type Outcome string

// The outcomes. Anything else that happens is an error, and no result.
const (
	Reached    Outcome = "reached"     // it got through
	Blocked    Outcome = "blocked"     // nothing got through
	Denied     Outcome = "denied"      // the API server refused what it takes
	NotStarted Outcome = "not started" // the pod that it takes does not start
)

// Report is what a run came to.
type Report struct {
	Experiments []*Result `json:"experiments"`
	// Timings are in seconds. podReadyWithout and podReadyWith are medians from a pod's creation until it is Ready;
	// the others are the steps of the run.
	Timings map[string]float64 `json:"timings"`

	log *progress.Log
}

// Result is one experiment's.
type Result struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Threats  []string `json:"threats,omitempty"`
	Without  Outcome  `json:"without"`
	With     Outcome  `json:"with"`
	Expected Outcome  `json:"expected"` // of With
	Pass     bool     `json:"pass"`
	// Limit says that what was seen with Bulkhead is a known limit of this release: neither passed nor failed.
	Limit  bool   `json:"knownLimit,omitempty"`
	Detail string `json:"detail"`

	halves [2]*Half // without, with
}

// Half is an experiment without or with Bulkhead.
type Half struct {
	Outcome Outcome // empty if there is none; Detail then says why
	Detail  string
	Pass    bool // it is the one that was expected
	Limit   bool // it is a known limit
}

// New returns a report that tells log of its steps.
func New(log *progress.Log) *Report {
	return &Report{Timings: map[string]float64{}, log: log}
}

// Time notes how long something took, to the millisecond.
func (r *Report) Time(key string, took time.Duration) {
	r.Timings[key] = math.Round(took.Seconds()*1000) / 1000
}

// Step is a step of the log whose time is in the report too.
func (r *Report) Step(key, name string, do func() error) error {
	err := r.log.Step(name, do)
	r.Time(key, r.log.Took(name))
	return err
}

// Record notes one half of the experiment that what describes by its ID, Name, Threats and Expected.
func (r *Report) Record(what Result, protected bool, half Half) {
	result := r.find(what)
	if protected {
		result.With, result.Expected, result.halves[1] = half.Outcome, what.Expected, &half
	} else {
		result.Without, result.halves[0] = half.Outcome, &half
	}
	without, with := result.halves[0], result.halves[1]
	result.Pass = without != nil && with != nil && without.Pass && with.Pass
	result.Limit = without != nil && with != nil && with.Limit
	result.Detail = ""
	for i, name := range []string{"without: ", "with: "} {
		if result.halves[i] != nil {
			if result.Detail != "" {
				result.Detail += "; "
			}
			result.Detail += name + result.halves[i].Detail
		}
	}
}

// Tell puts a half that was recorded into the log. Checks that `bulkhead verify` plays are there already.
func (r *Report) Tell(what Result, half Half) {
	name := what.Name
	if !half.Pass && !half.Limit {
		name += " ✗ " + half.Detail
	}
	r.log.Printf("      %-11s  %-15s %s", orDash(half.Outcome), what.ID, name)
}

func (r *Report) find(what Result) *Result {
	for _, result := range r.Experiments {
		if result.ID == what.ID {
			return result
		}
	}
	r.Experiments = append(r.Experiments, &what)
	return r.Experiments[len(r.Experiments)-1]
}

// Failed lists what did not pass and is no known limit.
func (r *Report) Failed() []*Result {
	var failed []*Result
	for _, result := range r.Experiments {
		if !result.Pass && !result.Limit {
			failed = append(failed, result)
		}
	}
	return failed
}

// Write writes the report as JSON.
func (r *Report) Write(path string) error {
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
func (r *Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nEXPERIMENT\tWHAT\tWITHOUT BULKHEAD\tWITH\tEXPECTED\tPASS\n")
	for _, result := range r.Experiments {
		pass := "yes"
		switch {
		case result.Limit:
			pass = "known limit"
		case !result.Pass:
			pass = "NO"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			result.ID, result.Name, orDash(result.Without), orDash(result.With), result.Expected, pass)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, result := range r.Failed() {
		fmt.Fprintf(out, "\n%s: %s\n", result.ID, result.Detail)
	}
	return nil
}

func orDash(outcome Outcome) Outcome {
	if outcome == "" {
		return "-"
	}
	return outcome
}
