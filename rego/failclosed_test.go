package rego

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

// TestRuleFails wants an error of evaluation for every way in which a rule may fail
// to speak (A4).
func TestRuleFails(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		want string
	}{
		"a built-in errs": {
			`violations contains to_number(input.request.namespace)`,
			"eval_builtin_error: to_number",
		},
		"a built-in errs under not": {
			`violations contains {} if not to_number(input.request.namespace) == 1`,
			"eval_builtin_error: to_number",
		},
		"two values for one rule": {
			"violations := {1} if true\nviolations := {2} if input.object",
			"eval_conflict_error",
		},
		"did not run":               {`violations := set() if input.object.spec.hostPID`, "rule fw-extra did not run"},
		"not a set":                 {`violations := "none"`, "rule fw-extra did not run"},
		"a violation without texts": {`violations contains "x"`, "rule fw-extra: violation without text in"},
		"a version of another type": {
			`violations contains {"container": "", "field": "x", "message": "y", "remedy": "z", "until": 35}`,
			`rule fw-extra: violation without text in "until"`,
		},
		"no version": {
			`violations contains {"container": "", "field": "x", "message": "y", "remedy": "z", "since": "1.35"}`,
			`rule fw-extra: violation: since: version "1.35" is neither`,
		},
		"a text of another type": {
			`violations contains {"container": "", "field": "x", "message": "y", "remedy": 1}`,
			`rule fw-extra: violation without text in "remedy"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			engine := newTestEngine(t, filesWithRule(t, test.body))
			result, err := engine.Evaluate(t.Context(), podInput(`{"spec":{}}`))
			checkError(t, err, test.want)
			if result.Violations != nil || result.Rules != 0 {
				t.Errorf("a result beside the error: %v", result)
			}
		})
	}
}

func TestEntryPointIsMissing(t *testing.T) {
	engine := newTestEngine(t, without(t, "main/main.rego"))
	_, err := engine.Evaluate(t.Context(), podInput(`{"spec":{}}`))
	checkError(t, err, "the entry point is undefined")
}

// TestInputFails wants an error for every input that is not what it should be: a
// wrong type must not read as an absent field.
func TestInputFails(t *testing.T) {
	engine := newTestEngine(t, files)
	for name, test := range map[string]struct {
		change func(*Input)
		want   string
	}{
		"no operation":      {func(in *Input) { in.Request.Operation = "" }, `operation ""`},
		"unknown operation": {func(in *Input) { in.Request.Operation = "DELETE" }, `operation "DELETE"`},
		"no level":          {func(in *Input) { in.Enforce.Name = "" }, `level ""`},
		"unknown level":     {func(in *Input) { in.Enforce.Name = "Baseline" }, `level "Baseline"`},
		"no version":        {func(in *Input) { in.Enforce.Version = "" }, `version ""`},
		"unknown version":   {func(in *Input) { in.Enforce.Version = "1.20" }, `version "1.20"`},
		"half a level":      {func(in *Input) { in.Warn.Version = Latest }, `level ""`},
		"unknown audit":     {func(in *Input) { in.Audit = Level{Baseline, "v2.0"} }, `version "v2.0"`},
		"no resource":       {func(in *Input) { in.Request.Resource = "" }, `resource ""`},
		"no object":         {func(in *Input) { in.Object = nil }, "object: decode JSON"},
		"not JSON":          {func(in *Input) { in.Object = json.RawMessage(`{"spec":`) }, "object: decode JSON"},
		"two objects":       {func(in *Input) { in.Object = json.RawMessage(`{"spec":{}}{}`) }, "object: decode JSON"},
		"null":              {func(in *Input) { in.Object = json.RawMessage(`null`) }, "object: is of type null"},
		"a list":            {func(in *Input) { in.Object = json.RawMessage(`[]`) }, "object: is of type array, not object"},
		"no spec":           {func(in *Input) { in.Object = json.RawMessage(`{}`) }, "object.spec: is missing"},
		"null spec":         {func(in *Input) { in.Object = json.RawMessage(`{"spec":null}`) }, "object.spec: is missing"},
		"no old object":     {func(in *Input) { in.Request.Operation = Update }, "oldObject: decode JSON"},
		"no options":        {func(in *Input) { in.Request.Operation, in.Object = Connect, nil }, "options: decode JSON"},
		"wrong options": {func(in *Input) {
			in.Request.Operation, in.Object = Connect, json.RawMessage(`{"container":["bulkhead-firewall"]}`)
		}, "options.container: is of type array, not string"},
		"half a sidecar": {func(in *Input) { in.Sidecar = &Sidecar{Init: json.RawMessage(`{}`)} }, "sidecar.firewall: decode JSON"},
		"null sidecar":   {func(in *Input) { in.Sidecar = &Sidecar{Init: json.RawMessage(`null`), Firewall: json.RawMessage(`{}`)} }, "sidecar.init: is of type null"},
	} {
		t.Run(name, func(t *testing.T) {
			in := podInput(`{"spec":{}}`)
			test.change(&in)
			_, err := engine.Evaluate(t.Context(), in)
			checkError(t, err, "evaluate rules: ", test.want)
		})
	}
}

// TestNewFails wants all that is wrong with the rules in the error of the constructor.
func TestNewFails(t *testing.T) {
	for name, test := range map[string]struct {
		files fs.FS
		want  []string
	}{
		"no rules":      {fstest.MapFS{}, []string{"no rules"}},
		"syntax":        {filesWith(t, map[string]string{extraRule: "package rules.firewall.extra\nx := ", "lib/x.rego": "packag"}), []string{extraRule, "lib/x.rego"}},
		"v0 syntax":     {filesWithRule(t, "violations[x] { x := 1 }"), []string{"rego_parse_error"}},
		"unused import": {filesWithRule(t, "import data.lib.pod\nviolations contains 1"), []string{"import data.lib.pod unused"}},
		"network":       {filesWithRule(t, `violations contains http.send({"method": "GET", "url": "http://127.0.0.1"})`), []string{"undefined function http.send"}},
		"clock":         {filesWithRule(t, `violations contains time.now_ns()`), []string{"undefined function time.now_ns"}},
		"environment":   {filesWithRule(t, `violations contains opa.runtime()`), []string{"undefined function opa.runtime"}},
		"unknown field": {filesWithRule(t, `violations contains 1 if input.object.spec.hostnetwork`), []string{"undefined ref: input.object.spec.hostnetwork"}},
		"no violations": {filesWithRule(t, `violation contains 1`), []string{"no rule violations"}},
		"no METADATA":   {filesWith(t, map[string]string{extraRule: "package rules.firewall.extra\nviolations contains 1"}), []string{"id is \"\"", "title or description", "severity", "threat is missing"}},
		"outside":       {filesWith(t, map[string]string{"rules/x.rego": "package rules.x\nviolations contains 1"}), []string{`category "" is unknown`}},
		"category":      {filesWith(t, map[string]string{"rules/x.rego": "package rules.other.x\nviolations contains 1"}), []string{`category "other" is unknown`}},
		"no schema":     {without(t, schemaFile), []string{"load schema"}},
		"bad schema":    {filesWith(t, map[string]string{schemaFile: `{"properties":{"object":{"$ref":"#/definitions/none"}}}`}), []string{`no definition "#/definitions/none"`}},
		"metadata": {filesWith(t, map[string]string{extraRule: strings.NewReplacer(
			"fw-extra", "fw-other", "low", "lowest", "[A4]", "[X1]", "always: true", "level: baseline",
		).Replace(extraMetadata) + "violations contains 1"}), []string{`id is "fw-other"`, `severity "lowest"`, `threat "X1"`, `level "baseline"`}},
		"since":            {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "since: 1.35", 1) + "violations contains 1"}), []string{`cannot unmarshal`}},
		"since outside":    {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "since: v1.35", 1) + "violations contains 1"}), []string{`since "v1.35" outside pod_security`}},
		"since when":       {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "since: v2.0", 1) + "violations contains 1"}), []string{`version "v2.0"`}},
		"resource":         {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "resources: [podz]", 1) + "violations contains 1"}), []string{`resource "podz"`}},
		"unknown metadata": {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always", "allways", 1)}), []string{`unknown field "allways"`}},
		"operation":        {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "operations: [DELETE]", 1) + "violations contains 1"}), []string{`operation "DELETE"`}},
		"override":         {filesWith(t, map[string]string{extraRule: strings.Replace(extraMetadata, "always: true", "overrides: [pss-none]", 1) + "violations contains 1"}), []string{"overrides outside pod_security"}},
		"no such override": {filesWith(t, map[string]string{"rules/pod_security/extra/extra.rego": strings.NewReplacer(
			"fw-extra", "pss-extra", "firewall", "pod_security", "always: true", "level: restricted\n#   overrides: [pss-none]",
		).Replace(extraMetadata) + "violations contains 1"}), []string{"rule pss-extra overrides pss-none, which does not exist"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newEngine(t.Context(), test.files, nil)
			checkError(t, err, test.want...)
		})
	}
}

func without(t *testing.T, path string) fs.FS {
	result := filesWith(t, nil)
	delete(result, path)
	return result
}
