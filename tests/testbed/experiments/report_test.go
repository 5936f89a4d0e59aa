package experiments

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestReportPassesOnlyAsExpected(t *testing.T) {
	tests := map[string]struct {
		without, with Outcome
		want          bool
	}{
		"as expected":                   {Reached, Denied, true},
		"not an attack without":         {Blocked, Denied, false},
		"got through with Bulkhead":     {Reached, Reached, false},
		"held back in another way":      {Reached, Blocked, false},
		"no outcome with":               {Reached, "", false},
		"no outcome, in either half":    {"", "", false},
		"with Bulkhead as without, bad": {Denied, Reached, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := experiment{id: "security-8", expected: Denied}
			report := Report{Experiments: []Result{{ID: e.id, Expected: e.expected}}}
			report.record(e, false, test.without, "")
			report.record(e, true, test.with, "")
			if got := report.Passed(); got != test.want {
				t.Errorf("got %t, want %t", got, test.want)
			}
		})
	}
	if (Report{}).Passed() {
		t.Error("a report of nothing has passed")
	}
	if newReport().Passed() {
		t.Error("a report has passed before anything was played")
	}
}

func TestReportSaysWhatFailed(t *testing.T) {
	report := newReport()
	for _, e := range all() {
		report.record(e, false, Reached, "")
		report.record(e, true, e.expected, "")
	}
	failing := all()[0]
	report.record(failing, true, Reached, "bob got in")
	var out bytes.Buffer
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"security-1", "NO", "bob got in"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}

func TestReportJSON(t *testing.T) {
	content, err := json.Marshal(newReport())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"experiments":[{"id":"security-1","name":`, `"without":`, `"with":`, `"expected":"blocked"`, `"pass":false`, `"detail":`, `"timings":{`} {
		if !strings.Contains(string(content), key) {
			t.Errorf("%s lacks %s", content, key)
		}
	}
}
