package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Verdict is what a check's result means.
type Verdict string

// The verdicts. Fail and Unknown fail the run.
const (
	Pass       Verdict = "pass"
	Fail       Verdict = "fail"
	Unknown    Verdict = "unknown"     // the check could not be made, or its controls failed
	KnownLimit Verdict = "known limit" // not prevented in this release, and said so
	Skipped    Verdict = "skipped"     // has no place on this cluster, or was not asked for
)

// Report is what a run came to. Its JSON has the form of the demo's, extended.
type Report struct {
	Mode        string             `json:"mode"` // baseline or protected
	Passed      bool               `json:"passed"`
	Cluster     string             `json:"cluster"` // version of the API server
	Started     time.Time          `json:"started"`
	Experiments []Result           `json:"experiments"`
	Timings     map[string]float64 `json:"timings"` // of the run's steps, in seconds
}

// Result is one check's.
type Result struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Threats  []string `json:"threats"`
	Expected Outcome  `json:"expected"`
	Seen     Outcome  `json:"seen,omitempty"` // empty if nothing was shown
	Verdict  Verdict  `json:"verdict"`
	Pass     bool     `json:"pass"`
	Detail   string   `json:"detail"`           // what was done and seen, or why nothing was
	Remedy   string   `json:"remedy,omitempty"` // what to do, or why a limit is one
	Seconds  float64  `json:"seconds"`
}

// mode names a run in its report.
func mode(baseline bool) string {
	if baseline {
		return "baseline"
	}
	return "protected"
}

// conclude sets Passed: at least one check passed, and of the others each is known not to.
func (r *Report) conclude() {
	fine := []Verdict{Pass, KnownLimit, Skipped}
	r.Passed = slices.ContainsFunc(r.Experiments, func(e Result) bool { return e.Verdict == Pass }) &&
		!slices.ContainsFunc(r.Experiments, func(e Result) bool { return !slices.Contains(fine, e.Verdict) })
}

// seconds are a duration's, to the millisecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

// WriteJSON writes the report for a program.
func (r Report) WriteJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// WriteTable writes the report for a person: a row a check, then what needs words.
func (r Report) WriteTable(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "CHECK\tTHREATS\tWHAT IS TRIED\tEXPECTED\tSEEN\tRESULT\n")
	for _, e := range r.Experiments {
		seen := string(e.Seen)
		if seen == "" {
			seen = "-"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, strings.Join(e.Threats, " "), e.Name, e.Expected, seen, shown(e.Verdict))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, section := range []struct {
		title    string
		verdicts []Verdict
	}{
		{"Failed", []Verdict{Fail, Unknown}},
		{"Known limits of this release", []Verdict{KnownLimit}},
		{"Not played", []Verdict{Skipped}},
	} {
		r.explain(out, section.title, section.verdicts)
	}
	_, err := fmt.Fprintf(out, "\n%s\n", r.summary())
	return err
}

// shown makes what fails the run stand out.
func shown(v Verdict) string {
	if v == Fail || v == Unknown {
		return strings.ToUpper(string(v))
	}
	return string(v)
}

// told is the result in a word, while the checks are played: without Bulkhead, where an attack that works is as expected,
// what was seen of it.
func (e Result) told(protected bool) string {
	if !protected && e.Verdict == Pass {
		return string(e.Seen)
	}
	return shown(e.Verdict)
}

// explain writes the details of the checks with one of these verdicts.
func (r Report) explain(out io.Writer, title string, verdicts []Verdict) {
	first, advice := true, ""
	for _, e := range r.Experiments {
		if !slices.Contains(verdicts, e.Verdict) {
			continue
		}
		if first {
			fmt.Fprintf(out, "\n%s\n", title)
			first = false
		}
		switch e.Verdict {
		case Skipped:
			fmt.Fprintf(out, "  %s: %s\n", e.ID, e.Detail)
		case KnownLimit:
			fmt.Fprintf(out, "  %s: %s\n    seen: %s\n    why:  %s\n", e.ID, e.Name, e.Detail, e.Remedy)
		default:
			seen := string(e.Seen)
			if seen == "" {
				seen = "unknown"
			}
			fmt.Fprintf(out, "  %s: %s\n    expected %s, seen %s: %s\n", e.ID, e.Name, e.Expected, seen, e.Detail)
			if e.Remedy != advice {
				fmt.Fprintf(out, "    to do: %s\n", e.Remedy)
			} else {
				fmt.Fprint(out, "    to do: as for the one before\n")
			}
			advice = e.Remedy
		}
	}
}

// summary counts.
func (r Report) summary() string {
	counts := map[Verdict]int{}
	for _, e := range r.Experiments {
		counts[e.Verdict]++
	}
	parts := []string{fmt.Sprintf("%d of %d as expected", counts[Pass], len(r.Experiments)-counts[Skipped])}
	for _, kind := range []struct {
		verdict Verdict
		words   string
	}{{Fail, "failed"}, {Unknown, "unknown"}, {KnownLimit, "known not to hold"}, {Skipped, "not played"}} {
		if counts[kind.verdict] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[kind.verdict], kind.words))
		}
	}
	text := strings.Join(parts, ", ") + fmt.Sprintf(" (%s, %.0f s).", r.Mode, r.Timings["total"])
	switch {
	case !r.Passed:
		return "FAILED: " + text
	case r.Mode == mode(true):
		return "The attacks work here without Bulkhead: " + text
	}
	return "Bulkhead holds: " + text
}
