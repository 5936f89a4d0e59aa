package rego

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

const customMetadata = `# METADATA
# title: Extra
# description: A custom rule of a test.
# custom:
#   id: custom-extra
#   severity: low
#   always: true
package bulkhead.custom.extra

`

func newCustomEngine(t *testing.T, sources map[string]string) *Engine {
	t.Helper()
	engine, err := New(t.Context(), sources)
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// TestCustomRule: a custom rule counts beside ours, and sees all fields.
func TestCustomRule(t *testing.T) {
	engine := newCustomEngine(t, map[string]string{"team.rego": customMetadata + `
import data.lib.report

violations contains report.in_field("metadata.labels", "lacks team", "name the team") if {
	not input.whole.metadata.labels.team
}
`, "team_test.rego": "not even rego"})
	in := podInput(`{"metadata":{"name":"x"},"spec":{"hostPID":true}}`)
	ids := func() []string {
		result, err := engine.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, v := range result.Violations {
			ids = append(ids, v.ID)
		}
		return ids
	}
	if got, want := ids(), []string{"custom-extra", "pss-host-namespaces"}; !slices.Equal(got, want) {
		t.Errorf("without label: %q, want %q", got, want)
	}
	in.Object = json.RawMessage(`{"metadata":{"labels":{"team":"a"}},"spec":{"hostPID":true}}`)
	if got, want := ids(), []string{"pss-host-namespaces"}; !slices.Equal(got, want) {
		t.Errorf("with label: %q, want %q", got, want)
	}
	if i := slices.IndexFunc(engine.Rules(), func(r Rule) bool { return r.ID == "custom-extra" }); i < 0 {
		t.Error("the rule is not listed")
	}
}

// TestReads: what no rule reads is not brought into the document.
func TestReads(t *testing.T) {
	for body, want := range map[string]map[string]bool{
		"violations contains 1 if input.object.spec.hostPID":                   {},
		"violations contains 1 if input.whole.x":                               {"whole": true},
		"violations contains 1 if { x := input; x.whole.y }":                   {"whole": true, "name": true, "groups": true},
		"violations contains 1 if object.get(input, [\"whole\", \"x\"], true)": {"whole": true, "name": true, "groups": true},
		"violations contains 1 if { some name; input[name].x }":                {"whole": true, "name": true, "groups": true},
		"violations contains 1 if input.request.name == \"x\"":                 {"name": true},
		"violations contains 1 if \"x\" in input.request.user.groups":          {"groups": true},
		"violations contains 1 if { x := input.request.user; x.groups }":       {"groups": true},
		"violations contains 1 if { f(input.request) }\nf(x) if x.name":        {"name": true, "groups": true},
	} {
		shape := newCustomEngine(t, map[string]string{"a.rego": customMetadata + body}).shape
		request := shape.properties["request"].shape
		for name, has := range map[string]bool{
			"whole":  shape.has("whole"),
			"name":   request.has("name"),
			"groups": request.properties["user"].shape.has("groups"),
		} {
			if has != want[name] {
				t.Errorf("%s: %s is in the document: %v", body, name, has)
			}
		}
	}
}

// TestCustomRuleErrs: whatever is wrong with one at evaluation, it denies, and is named.
func TestCustomRuleErrs(t *testing.T) {
	for name, body := range map[string]string{
		"a built-in errs":           `violations contains to_number("x")`,
		"two values":                "violations := {1} if true\nviolations := {2} if input.object",
		"undefined":                 `violations := set() if input.object.spec.hostPID`,
		"a violation without texts": `violations contains "x"`,
	} {
		t.Run(name, func(t *testing.T) {
			engine := newCustomEngine(t, map[string]string{"a.rego": customMetadata + body})
			_, err := engine.Evaluate(t.Context(), podInput(`{"spec":{}}`))
			checkError(t, err, "evaluate rules: rule custom-extra")
		})
	}
}

func TestNewFailsForCustomRules(t *testing.T) {
	rule := func(body string) string { return customMetadata + body }
	for name, test := range map[string]struct {
		sources map[string]string
		want    []string
	}{
		"all that is wrong": {
			map[string]string{"a.rego": "package a\nx := ", "b.rego": "package main", "c.rego": "", "d.txt": ""},
			[]string{"custom/a.rego:2", "custom/b.rego: package is main", "custom/c.rego", "d.txt: is no .rego file"},
		},
		"a package of ours":   {map[string]string{"a.rego": strings.Replace(rule("violations contains 1"), "bulkhead.custom.extra", "rules.firewall.windows", 1)}, []string{"package is rules.firewall.windows"}},
		"a library's package": {map[string]string{"a.rego": "package lib.pod\ncontainers := []"}, []string{"package is lib.pod"}},
		"below":               {map[string]string{"a.rego": "package bulkhead.custom.a.b\nx := 1"}, []string{"package is bulkhead.custom.a.b"}},
		"above":               {map[string]string{"a.rego": "package bulkhead.custom\nx := 1"}, []string{"package is bulkhead.custom"}},
		"a name":              {map[string]string{"a.rego": "package bulkhead.custom[\"A-b\"]\nx := 1"}, []string{"lower-case letters"}},
		"twice":               {map[string]string{"a.rego": rule("violations contains 1"), "b.rego": rule("violations contains 1")}, []string{"custom/b.rego: package bulkhead.custom.extra is that of custom/a.rego"}},
		"id":                  {map[string]string{"a.rego": strings.Replace(rule("violations contains 1"), "custom-extra", "pss-privileged", 1)}, []string{`id is "pss-privileged", not "custom-extra"`}},
		"level":               {map[string]string{"a.rego": strings.Replace(rule("violations contains 1"), "always: true", "level: baseline", 1)}, []string{`level "baseline"`}},
		"overrides":           {map[string]string{"a.rego": strings.Replace(rule("violations contains 1"), "always: true", "overrides: [pss-privileged]", 1)}, []string{"overrides outside pod_security"}},
		"network":             {map[string]string{"a.rego": rule(`violations contains http.send({"method": "GET", "url": "http://127.0.0.1"})`)}, []string{"undefined function http.send"}},
		"names":               {map[string]string{"a.rego": rule(`violations contains net.lookup_ip_addr("localhost")`)}, []string{"undefined function net.lookup_ip_addr"}},
		"clock":               {map[string]string{"a.rego": rule(`violations contains time.now_ns()`)}, []string{"undefined function time.now_ns"}},
		"clock of a token":    {map[string]string{"a.rego": rule(`violations contains io.jwt.decode_verify("x", {})`)}, []string{"undefined function io.jwt.decode_verify"}},
		"clock of a chain":    {map[string]string{"a.rego": rule(`violations contains crypto.x509.parse_and_verify_certificates("x")`)}, []string{"undefined function crypto.x509.parse_and_verify_certificates"}},
		"chance":              {map[string]string{"a.rego": rule(`violations contains rand.intn("x", 2)`)}, []string{"undefined function rand.intn"}},
		"uuid":                {map[string]string{"a.rego": rule(`violations contains uuid.rfc4122("x")`)}, []string{"undefined function uuid.rfc4122"}},
		"environment":         {map[string]string{"a.rego": rule(`violations contains opa.runtime()`)}, []string{"undefined function opa.runtime"}},
		"unknown field":       {map[string]string{"a.rego": rule(`violations contains 1 if input.object.spec.hostnetwork`)}, []string{"undefined ref: input.object.spec.hostnetwork"}},
		"more errors than ten": {
			map[string]string{"a.rego": rule(strings.Repeat("violations contains nothing(1)\n", 12) + "violations contains nobody(1)")},
			[]string{"13 errors", "undefined function nobody"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), test.sources)
			checkError(t, err, test.want...)
		})
	}
}

// TestDocumentedRule holds docs/adding-a-rule.md to its word: its rule compiles, refuses
// what it is said to refuse, and lets the rest pass.
func TestDocumentedRule(t *testing.T) {
	page, err := os.ReadFile("../docs/adding-a-rule.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "```rego\n")
	source, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("no rule in it")
	}
	engine := newCustomEngine(t, map[string]string{"image_registry.rego": source})
	i := slices.IndexFunc(engine.Rules(), func(r Rule) bool { return r.Category == custom })
	rule := engine.Rules()[i]
	for example, want := range map[string][]string{
		rule.Avoid: {
			`custom-image-registry: container "app": spec.containers[0].image is "docker.io/library/nginx", not of an allowed registry; use an image of registry.example.com`,
			`custom-image-registry: container "init": spec.initContainers[0].image is "busybox", not of an allowed registry; use an image of registry.example.com`,
		},
		rule.Prefer: nil,
	} {
		in := podInput(string(fromYAML(t, example)))
		in.Enforce.Name = Privileged
		in.Tenant = &Tenant{Name: "alice"}
		result, err := engine.Evaluate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, v := range result.Violations {
			if v.ID == rule.ID {
				got = append(got, v.String())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q, of\n%s", got, want, example)
		}
	}
}

// TestNobodyReads: a set of rules that looks at nothing is asked about nothing.
func TestNobodyReads(t *testing.T) {
	nobody := &shape{}
	in := tenantInput(t)
	in.Tenant = &Tenant{Name: "alice"}
	for name, term := range map[string]*ast.Term{
		"request": in.Request.term(nobody.at("request")),
		"tenant":  in.Tenant.term(nobody.at("tenant")),
		"cluster": in.Cluster.term(nobody.at("cluster")),
	} {
		if !term.Equal(ast.ObjectTerm()) {
			t.Errorf("%s: %v", name, term)
		}
	}
}
