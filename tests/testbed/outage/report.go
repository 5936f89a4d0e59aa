package outage

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"
)

// Report says what became of the pods in each phase.
type Report struct {
	Phases []Result `json:"phases"`
}

// Result is one phase.
type Result struct {
	Name    string          `json:"name"`
	Seconds float64         `json:"seconds"`
	Good    map[Outcome]int `json:"good"`
	Bad     map[Outcome]int `json:"bad"`
	// SilentSeconds is the time from the first to the last pod that no webhook answered for.
	SilentSeconds float64 `json:"silentSeconds"`
	// Problems are the outcomes that must not be; empty: passed.
	Problems []string `json:"problems"`
}

// add judges a phase.
func (r *Report) add(p phase, c counts, took time.Duration) {
	result := Result{Name: p.name, Seconds: rounded(took), Good: maps.Clone(c.Good), Bad: maps.Clone(c.Bad), SilentSeconds: rounded(c.Silent)}
	problem := func(format string, args ...any) {
		result.Problems = append(result.Problems, fmt.Sprintf(format, args...))
	}
	for outcome, n := range c.Good {
		allowed := outcome == Admitted || outcome == Unanswered && p.unanswered || outcome == Away && p.away || outcome == Refused && p.refused
		if !allowed {
			problem("%d good pods: %s: %s", n, outcome, c.Errors[outcome])
		}
	}
	for outcome, n := range c.Bad {
		if outcome == Admitted || outcome == Unguarded || outcome == Lost {
			problem("%d bad pods: %s: %s", n, outcome, c.Errors[outcome])
		}
	}
	if len(c.Good) == 0 || len(c.Bad) == 0 {
		problem("the stream stood still")
	}
	r.Phases = append(r.Phases, result)
}

// Problems of all phases.
func (r Report) Problems() []string {
	var all []string
	for _, phase := range r.Phases {
		for _, problem := range phase.Problems {
			all = append(all, phase.Name+": "+problem)
		}
	}
	return all
}

// Print writes the counts for a person.
func (r Report) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "\nPHASE\tSECONDS\tGOOD: ADMITTED\tNO WEBHOOK\tNO API SERVER\tBY A RULE\tOTHER\tBAD: ADMITTED\tBY A RULE\tNO WEBHOOK\tNO API SERVER\tSILENT S\tPASS\n")
	for _, p := range r.Phases {
		pass := "yes"
		if len(p.Problems) > 0 {
			pass = "NO"
		}
		fmt.Fprintf(table, "%s\t%.1f\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t%s\n", p.Name, p.Seconds,
			p.Good[Admitted], p.Good[Unanswered], p.Good[Away], p.Good[Refused], p.Good[Lost]+p.Good[Unguarded],
			p.Bad[Admitted]+p.Bad[Unguarded], p.Bad[Refused], p.Bad[Unanswered], p.Bad[Away]+p.Bad[Lost], p.SilentSeconds, pass)
	}
	return table.Flush()
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

func rounded(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }
