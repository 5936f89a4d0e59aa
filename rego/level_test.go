package rego

import (
	"slices"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]version{"v1.0": 0, "v1.9": 9, "v1.35": 35, "v1.999": 999, "latest": latest} {
		if got, err := parseVersion(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1.35", "v1", "v1.", "v1.-1", "v1.+1", "v1.01", "v1.x", "v2.0", "v1.35.1", " v1.35", "Latest", "v1.9999999999999999999"} {
		if got, err := parseVersion(text); err == nil {
			t.Errorf("%s: no error, but %v", text, got)
		}
	}
}

// TestLevels asks for three levels at once: each list is what its own level refuses.
func TestLevels(t *testing.T) {
	const pod = `{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true},"livenessProbe":{"tcpSocket":{"host":"x"}}}],"ephemeralContainers":[{"name":"bulkhead-init"}]}}`
	engine := newTestEngine(t, files)
	ask := func(t *testing.T, in Input) Result {
		t.Helper()
		result, err := engine.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	in := podInput(pod)
	in.Enforce, in.Warn, in.Audit = Level{Privileged, Latest}, Level{Restricted, Latest}, Level{Baseline, "v1.33"}
	got := ask(t, in)
	for name, test := range map[string]struct {
		list  []Violation
		level Level
	}{
		"violations": {got.Violations, in.Enforce},
		"warnings":   {got.Warnings, in.Warn},
		"audit":      {got.Audit, in.Audit},
	} {
		alone := podInput(pod)
		alone.Enforce = test.level
		want := ask(t, alone).Violations
		if name != "violations" { // rules without a level never only warn
			want = slices.DeleteFunc(want, func(v Violation) bool { return v.ID == "fw-reserved-name" })
		}
		if len(want) == 0 || !slices.Equal(test.list, want) {
			t.Errorf("%s: got\n%v\nwant\n%v", name, test.list, want)
		}
	}
	if nothing := ask(t, podInput(pod)); nothing.Warnings != nil || nothing.Audit != nil {
		t.Errorf("not asked for: %v", nothing)
	}
}
