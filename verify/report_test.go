package verify

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// everyVerdict is a report with a result of each kind.
func everyVerdict() Report {
	r := Report{Mode: mode(false), Timings: map[string]float64{"total": 42.4}, Experiments: []Result{
		{ID: "security-1", Threats: []string{"P1"}, Name: "connect", Expected: Blocked, Seen: Blocked, Verdict: Pass, Pass: true, Detail: "how"},
		{ID: "security-6", Threats: []string{"D2", "L7"}, Name: "flush", Expected: Blocked, Seen: Reached, Verdict: Fail, Detail: "iptables -F worked", Remedy: "look"},
		{ID: "security-7", Threats: []string{"L7"}, Name: "flush by mistake", Expected: Blocked, Seen: Reached, Verdict: Fail, Detail: "it worked", Remedy: "look"},
		{ID: "P4", Threats: []string{"P4"}, Name: "forge", Expected: Blocked, Verdict: Unknown, Detail: "control: no answer", Remedy: "again"},
		{ID: "S1", Threats: []string{"S1"}, Name: "towards a ClusterIP", Expected: Blocked, Seen: Reached, Verdict: KnownLimit, Detail: "sent", Remedy: "addressing cidr"},
		{ID: "P8", Threats: []string{"P8"}, Name: "keep a flow", Expected: Blocked, Verdict: Skipped, Detail: "nothing is revoked"},
	}}
	r.conclude()
	return r
}

func TestReports(t *testing.T) {
	failed := everyVerdict()
	passed := everyVerdict()
	passed.Experiments = []Result{passed.Experiments[0], passed.Experiments[4], passed.Experiments[5]}
	passed.conclude()
	baseline := Report{Mode: mode(true), Timings: map[string]float64{"total": 25}, Experiments: passed.Experiments[:1]}
	baseline.conclude()
	for name, report := range map[string]Report{"failed": failed, "passed": passed, "baseline": baseline} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := report.WriteTable(&out); err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("go test ./verify -update writes it anew (-want +got):\n%s", diff)
			}
		})
	}
}

// TestConclude: what fails a run, and that nothing proves nothing.
func TestConclude(t *testing.T) {
	for name, test := range map[string]struct {
		verdicts []Verdict
		passed   bool
	}{
		"all as expected":       {[]Verdict{Pass, Pass}, true},
		"with limits and skips": {[]Verdict{Pass, KnownLimit, Skipped}, true},
		"one failed":            {[]Verdict{Pass, Fail}, false},
		"one unknown":           {[]Verdict{Pass, Unknown}, false},
		"only limits and skips": {[]Verdict{KnownLimit, Skipped}, false},
		"nothing":               {nil, false},
		"the zero value":        {[]Verdict{Pass, ""}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r Report
			for _, v := range test.verdicts {
				r.Experiments = append(r.Experiments, Result{Verdict: v})
			}
			if r.conclude(); r.Passed != test.passed {
				t.Errorf("passed: %t", r.Passed)
			}
		})
	}
}

// TestJSON: the keys that programs read.
func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := everyVerdict().WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var read map[string]any
	if err := json.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatal(err)
	}
	first := read["experiments"].([]any)[0].(map[string]any)
	want := map[string]any{
		"id": "security-1", "name": "connect", "threats": []any{"P1"}, "expected": "blocked", "seen": "blocked",
		"verdict": "pass", "pass": true, "detail": "how", "seconds": 0.0,
	}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if read["mode"] != "protected" || read["passed"] != false {
		t.Errorf("mode %v, passed %v", read["mode"], read["passed"])
	}
}
