package main

import (
	"encoding/json"
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"
)

// TestGatekeeperRules: a peer whose rules decide something else would be measured for
// nothing. Each of PSA's fixtures passes or fails them as its folder says.
func TestGatekeeperRules(t *testing.T) {
	sources, err := gatekeeperSources()
	if err != nil {
		t.Fatal(err)
	}
	queries := map[string]rego.PreparedEvalQuery{}
	for name, source := range sources {
		// Gatekeeper gives each template a place of its own; here each is alone.
		queries[name], err = rego.New(rego.Query("data[_].violation[_].msg"), rego.Module(name, source)).PrepareForEval(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	fixtures, err := fixturePods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, fixture := range fixtures {
		var pod map[string]any
		if err := json.Unmarshal(fixture.pod, &pod); err != nil {
			t.Fatal(err)
		}
		refusals := 0
		for name, query := range queries {
			if !counts(name, fixture.level) {
				continue
			}
			found, err := query.Eval(t.Context(), rego.EvalInput(map[string]any{"review": map[string]any{"object": pod}}))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			refusals += len(found)
		}
		if refused := refusals > 0; refused != (fixture.set == failingSet) {
			t.Errorf("fixture %d of %s, %s, refused: %v: %s", i, fixture.level, fixture.set, refused, fixture.pod)
		}
	}
}
