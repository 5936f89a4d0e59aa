package results

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

var attack = Result{ID: "security-8", Name: "nsenter", Expected: Denied}

func TestPassesOnlyIfBothHalvesDid(t *testing.T) {
	good, bad := &Half{Outcome: Reached, Pass: true}, &Half{Outcome: Reached}
	tests := map[string]struct {
		without, with *Half
		pass, failed  bool
	}{
		"both":           {good, good, true, false},
		"not an attack":  {bad, good, false, true},
		"got through":    {good, bad, false, true},
		"without only":   {good, nil, false, true},
		"with only":      {nil, good, false, true},
		"a known limit":  {good, &Half{Outcome: Reached, Limit: true}, false, false},
		"limit, no base": {nil, &Half{Outcome: Reached, Limit: true}, false, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			report := New(progress.New(io.Discard))
			if test.without != nil {
				report.Record(attack, false, *test.without)
			}
			if test.with != nil {
				report.Record(attack, true, *test.with)
			}
			if got := report.Experiments[0].Pass; got != test.pass {
				t.Errorf("pass: got %t, want %t", got, test.pass)
			}
			if got := len(report.Failed()) > 0; got != test.failed {
				t.Errorf("failed: got %t, want %t", got, test.failed)
			}
		})
	}
}

func TestPrintSaysWhatFailed(t *testing.T) {
	report := New(progress.New(io.Discard))
	report.Record(attack, false, Half{Outcome: Reached, Detail: "flushed", Pass: true})
	report.Record(attack, true, Half{Outcome: Reached, Detail: "bob got in"})
	var out bytes.Buffer
	if err := report.Print(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"security-8", "NO", "without: flushed; with: bob got in"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}

func TestJSON(t *testing.T) {
	report := New(progress.New(io.Discard))
	report.Record(attack, false, Half{Outcome: Reached, Pass: true})
	content, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{`"experiments":[{"id":"security-8","name":`, `"without":`, `"with":`, `"expected":"denied"`, `"pass":false`, `"detail":`, `"timings":{`} {
		if !strings.Contains(string(content), key) {
			t.Errorf("%s lacks %s", content, key)
		}
	}
}
