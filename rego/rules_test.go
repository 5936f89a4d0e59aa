package rego

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// TestExamples holds every rule's METADATA to its word: the engine refuses `avoid` by
// that rule and does not refuse `prefer` by it.
func TestExamples(t *testing.T) {
	engine := newTestEngine(t, files)
	for _, rule := range engine.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			prefer, avoid := fromYAML(t, rule.Prefer), fromYAML(t, rule.Avoid)
			in := Input{
				Request:   Request{Operation: rule.Operations[0], Resource: rule.Resources[0]},
				OldObject: prefer,
				Tenant:    &Tenant{Name: "alice", Namespaces: []string{"alice"}, CIDRs: []string{"172.16.1.0/24"}, External: true, Networks: []string{"networks/blue"}},
				Cluster:   Cluster{NodeCIDRs: []string{"192.168.0.0/24"}, TenantCIDRs: []string{"172.16.0.0/16"}},
				Enforce:   Level{Privileged, Latest},
			}
			if rule.Level != "" {
				in.Enforce.Name = rule.Level
			} else if rule.Resources[0] == pods {
				in.Sidecar = &Sidecar{
					Init:     json.RawMessage(`{"name": "bulkhead-init", "image": "firewall"}`),
					Firewall: json.RawMessage(`{"name": "bulkhead-firewall", "image": "firewall"}`),
				}
			}
			for name, example := range map[string]json.RawMessage{"avoid": avoid, "prefer": prefer} {
				in.Object = example
				result, err := engine.Evaluate(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				refused := slices.ContainsFunc(result.Violations, func(v Violation) bool { return v.ID == rule.ID })
				if refused != (name == "avoid") {
					t.Errorf("%s: refused: %v, by %v", name, refused, result.Violations)
				}
			}
		})
	}
}

func fromYAML(t *testing.T, text string) json.RawMessage {
	t.Helper()
	var decoded map[string]any
	if err := util.Unmarshal([]byte(text), &decoded); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestNegation keeps a trap out of the rules: OPA takes the arguments of a negated
// call out of the negation, so that `not x.y in allowed` is undefined, and denies
// nothing, where x has no y. What is negated is a reference, or a function of
// variables: `not safe(x)`.
func TestNegation(t *testing.T) {
	modules, err := load(files)
	if err != nil {
		t.Fatal(err)
	}
	for path, module := range modules {
		for _, location := range negatedCallsOfReferences(module) {
			t.Errorf("%s: `not` before a call with a reference among its arguments, at %v", path, location)
		}
	}
	trap := ast.MustParseModuleWithOpts("package x\nimport data.y\na if not input.b in {1}\nc if not input.d\ne if not y.f(g)\n", ast.ParserOptions{RegoVersion: ast.RegoV1})
	if found := negatedCallsOfReferences(trap); len(found) != 1 || found[0].Row != 3 {
		t.Errorf("the test itself finds %v", found)
	}
}

func negatedCallsOfReferences(module *ast.Module) []*ast.Location {
	var found []*ast.Location
	ast.WalkExprs(module, func(expr *ast.Expr) bool {
		if !expr.Negated || !expr.IsCall() {
			return false
		}
		for _, operand := range expr.Operands() {
			ast.WalkRefs(operand, func(ref ast.Ref) bool {
				found = append(found, expr.Location)
				return true
			})
		}
		return false
	})
	return found
}

// TestSelection lists, for some selectors, which of a few telling rules count.
func TestSelection(t *testing.T) {
	engine := newTestEngine(t, files)
	telling := []string{
		"fw-net-raw", "fw-reserved-name", "fw-sidecar-exec", "fw-sidecar-genuine", "fw-sidecar-unchanged",
		"pss-capabilities", "pss-host-path", "pss-privileged", "pss-proc-mount", "pss-seccomp",
		"pss-restricted-capabilities", "pss-restricted-proc-mount", "pss-restricted-seccomp", "pss-run-as-user", "pss-volume-types",
	}
	baseline := []string{"pss-capabilities", "pss-host-path", "pss-privileged", "pss-proc-mount", "pss-seccomp"}
	// What restricted overrides of baseline does not count twice.
	restricted := []string{
		"pss-privileged", "pss-restricted-capabilities", "pss-restricted-proc-mount", "pss-restricted-seccomp", "pss-run-as-user", "pss-volume-types",
	}
	type question struct {
		operation, level, version string
		sidecar                   bool
	}
	for q, want := range map[question][]string{
		{Create, Privileged, Latest, false}:  {"fw-reserved-name"},
		{Update, Privileged, Latest, false}:  {"fw-reserved-name"},
		{Create, Privileged, Latest, true}:   {"fw-net-raw", "fw-reserved-name", "fw-sidecar-genuine"},
		{Update, Privileged, Latest, true}:   {"fw-net-raw", "fw-reserved-name", "fw-sidecar-unchanged"},
		{Create, Baseline, Latest, false}:    slices.Concat([]string{"fw-reserved-name"}, baseline),
		{Update, Restricted, Latest, false}:  slices.Concat([]string{"fw-reserved-name"}, restricted),
		{Create, Restricted, Latest, true}:   slices.Concat([]string{"fw-net-raw", "fw-reserved-name", "fw-sidecar-genuine"}, restricted),
		{Connect, Privileged, Latest, false}: {"fw-sidecar-exec"},
		{Connect, Restricted, Latest, true}:  {"fw-sidecar-exec"},
	} {
		in := Input{Request: Request{Operation: q.operation, Resource: pods}, Enforce: Level{q.level, q.version}}
		if q.sidecar {
			in.Sidecar = &Sidecar{}
		}
		selection, _, err := engine.selections.of(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, rule := range selection.rules {
			if slices.Contains(telling, rule.ID) {
				got = append(got, rule.ID)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%v: got %q, want %q", q, got, want)
		}
	}
}
