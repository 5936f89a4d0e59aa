package check

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got), go test ./check -update writes it:\n%s", path, diff)
	}
}

func run(t *testing.T, o Options) *Report {
	t.Helper()
	o.Progress = io.Discard
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// TestReports: what is said of manifests, under which terms.
func TestReports(t *testing.T) {
	const shop, list, pod, folder = "testdata/shop.yaml", "testdata/list.json", "testdata/pod.yaml", "testdata/folder"
	const alice, config = "testdata/alice.yaml", "testdata/config.yaml"
	for name, test := range map[string]struct {
		options Options
		passed  bool
	}{
		"nothing-known":      {Options{Files: []string{shop, list}}, false},
		"tenant-file":        {Options{Files: []string{shop, pod}, Tenant: alice, Config: config}, false},
		"tenant-name":        {Options{Files: []string{pod}, Tenant: "bob", Config: config}, false},
		"tenant-among-files": {Options{Files: []string{pod, alice}, Tenant: "alice"}, false},
		"config-alone":       {Options{Files: []string{pod}, Config: config}, true},
		"config-among-files": {Options{Files: []string{pod, config}}, false},
		"strict":             {Options{Files: []string{pod}, Config: config, Strict: true}, false},
		"exempt":             {Options{Files: []string{pod}, Config: config, Namespace: "kube-system", Strict: true}, true},
		"folder":             {Options{Files: []string{folder}, Tenant: alice, Config: config}, false},
		"custom-rules":       {Options{Files: []string{folder + "/pod.yaml"}, Tenant: alice, Config: config, CustomRules: "testdata/rules"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, test.options)
			if report.Passed != test.passed {
				t.Errorf("passed: %t", report.Passed)
			}
			var out bytes.Buffer
			for _, note := range report.Notes {
				out.WriteString("# " + note + "\n")
			}
			if err := report.WriteText(&out); err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out.Bytes())
		})
	}
}

// TestWhatKeepsPodsOut: a workload is refused whose pods the namespace refuses (L14, L15).
func TestWhatKeepsPodsOut(t *testing.T) {
	const namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: alice, labels: {pod-security.kubernetes.io/enforce: baseline}}\n---\n" +
		"apiVersion: v1\nkind: LimitRange\nmetadata: {name: limits, namespace: alice}\nspec: {limits: [{type: Container, min: {cpu: 100m}}]}\n---\n"
	const spec = "containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}}}]"
	for kind, text := range map[string]string{
		"Pod":        "apiVersion: v1\nkind: Pod\nmetadata: {name: w, namespace: alice}\nspec: {" + spec + "}\n",
		"Deployment": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w, namespace: alice}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {" + spec + "}}}\n",
	} {
		for limited, want := range map[bool]string{true: "violation namespace-limit-range", false: "warning namespace-label"} {
			before := namespace
			if !limited {
				before, _, _ = strings.Cut(namespace, "---\n")
				before += "---\n"
			}
			var found []string
			for _, f := range run(t, Options{Files: []string{"-"}, Stdin: strings.NewReader(before + text), Tenant: "testdata/alice.yaml"}).Findings {
				if f.Object.Kind == kind {
					found = append(found, string(f.Effect)+" "+f.Rule)
				}
			}
			if !slices.Contains(found, want) {
				t.Errorf("%s: found %q, not %s", kind, found, want)
			}
		}
	}
}

// TestForms: the other forms of one report.
func TestForms(t *testing.T) {
	report := run(t, Options{Files: []string{"testdata/shop.yaml", "-"}, Stdin: strings.NewReader(quietPod)})
	for name, write := range map[string]func(io.Writer) error{
		"forms.json":  report.WriteJSON,
		"forms.sarif": func(w io.Writer) error { return report.WriteSARIF(w, "v0") },
		"forms.xml":   report.WriteJUnit,
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, name, out.Bytes())
	}
}

// quietPod is warned of, and named to disturb.
const quietPod = `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [{"name": "\u001b[31m\n::error::<b>", "image": "a"}]}}`

// TestSARIF holds every report to what the standard requires and GitHub reads.
func TestSARIF(t *testing.T) {
	for name, options := range map[string]Options{
		"findings": {Files: []string{"testdata/shop.yaml", "testdata/list.json", "-"}, Stdin: strings.NewReader(quietPod)},
		"none":     {Files: []string{"testdata/config.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, options)
			var out bytes.Buffer
			if err := report.WriteSARIF(&out, ""); err != nil {
				t.Fatal(err)
			}
			var log sarifLog
			if err := json.Unmarshal(out.Bytes(), &log); err != nil {
				t.Fatal(err)
			}
			if log.Version != "2.1.0" || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name == "" {
				t.Fatalf("version %q, %d runs", log.Version, len(log.Runs))
			}
			// results is required, and may be empty but not null (3.14.23).
			if !strings.Contains(out.String(), `"results": [`) || !strings.Contains(out.String(), `"rules": [`) {
				t.Error("results or rules is no list")
			}
			rules := log.Runs[0].Tool.Driver.Rules
			if len(log.Runs[0].Results) != len(report.Findings) {
				t.Errorf("%d results for %d findings", len(log.Runs[0].Results), len(report.Findings))
			}
			for _, result := range log.Runs[0].Results {
				if result.RuleIndex >= len(rules) || rules[result.RuleIndex].ID != result.RuleID {
					t.Errorf("rule %s is not the %dth", result.RuleID, result.RuleIndex)
				}
				if !slices.Contains([]string{"error", "warning", "note"}, result.Level) || result.Message.Text == "" {
					t.Errorf("level %q, message %q", result.Level, result.Message.Text)
				}
				if len(result.Locations) != 1 {
					t.Fatalf("%d locations", len(result.Locations))
				}
				if at := result.Locations[0].Physical; at.Region.StartLine < 1 || at.Artifact.URI == "" || strings.HasPrefix(at.Artifact.URI, "/") {
					t.Errorf("location %+v", at)
				}
			}
			for _, rule := range rules {
				if rule.ShortDescription.Text == "" {
					t.Errorf("rule %s has no description", rule.ID)
				}
			}
		})
	}
}

func TestURI(t *testing.T) {
	for file, want := range map[string]string{
		"a.yaml": "a.yaml", "./deploy/a b.yaml": "deploy/a%20b.yaml", "/a/b.yaml": "file:///a/b.yaml", "a:b.yaml": "./a:b.yaml", "stdin": "stdin",
	} {
		if got := uriOf(file); got != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
}

func TestJUnitCounts(t *testing.T) {
	report := run(t, Options{Files: []string{"testdata/shop.yaml", "-"}, Stdin: strings.NewReader(quietPod)})
	var out bytes.Buffer
	if err := report.WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	var suites junitSuites
	if err := xml.Unmarshal(out.Bytes(), &suites); err != nil {
		t.Fatal(err)
	}
	if len(suites.Suites) != 2 || suites.Tests != 5 || suites.Failures != 3 {
		t.Errorf("%d suites, %d tests, %d failures", len(suites.Suites), suites.Tests, suites.Failures)
	}
	for _, suite := range suites.Suites {
		failures := 0
		for _, c := range suite.Cases {
			if c.Failure != nil {
				failures++
			}
		}
		if suite.Tests != len(suite.Cases) || suite.Failures != failures {
			t.Errorf("suite %s says %d and %d, and has %d and %d", suite.Name, suite.Tests, suite.Failures, len(suite.Cases), failures)
		}
	}
}

// TestNoResult: what cannot be checked is an error that says where.
func TestNoResult(t *testing.T) {
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a, image: a}]}\n"
	const tenant = "apiVersion: bulkhead.dev/v1alpha1\nkind: Tenant\nmetadata: {name: a}\nspec: {namespaces: [a], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}\n"
	stdin := func(text string) Options { return Options{Files: []string{"-"}, Stdin: strings.NewReader(text)} }
	for name, test := range map[string]struct {
		options Options
		want    []string
	}{
		"no files":                  {Options{}, []string{"no manifests"}},
		"no such file":              {Options{Files: []string{"nothere.yaml"}}, []string{"nothere.yaml"}},
		"empty folder":              {Options{Files: []string{t.TempDir()}}, []string{"no objects in"}},
		"empty input":               {stdin(""), []string{"no objects in -"}},
		"comments alone":            {stdin("# nothing\n---\n---\n# at all\n"), []string{"no objects in -"}},
		"an empty List":             {stdin("{apiVersion: v1, kind: List, items: []}"), []string{"no objects in -"}},
		"broken YAML":               {stdin(pod + "---\n# two\na: b: c\n"), []string{"stdin:7: mapping values"}},
		"all that is broken":        {stdin("a: b: c\n---\n" + pod + "---\nx: [\n"), []string{"stdin:1: ", "stdin:8: "}},
		"a helm template":           {stdin("x: {{ .Values.x }}\ny: a: b\n"), []string{"helm template"}},
		"a doubled field":           {stdin("kind: Pod\nkind: Pod\n"), []string{"stdin:2: ", `"kind" already set`}},
		"a doubled field of JSON":   {stdin(`{"apiVersion": "v1", "kind": "Pod", "kind": "Pod"}`), []string{"stdin:1: ", `duplicate field "kind"`}},
		"text behind a separator":   {stdin("--- {a: b}\n--- {a: b}\n"), []string{"stdin:1: a second document"}},
		"no kind":                   {stdin(pod + "---\n\na: b\n"), []string{"stdin:7: document 2: apiVersion or kind is missing"}},
		"no kind in a List":         {stdin("apiVersion: v1\nkind: List\nitems:\n- {a: b}\n"), []string{"stdin:4: document 1: apiVersion or kind"}},
		"no object":                 {stdin("just text"), []string{"stdin:1: document 1: a string and no object"}},
		"no kind, but a number":     {stdin("apiVersion: v1\nkind: 3\n"), []string{"stdin:1: document 1: kind is of the wrong type, a number"}},
		"no metadata, but a text":   {stdin("apiVersion: v1\nkind: Pod\nmetadata: a\n"), []string{"stdin:1: document 1: metadata is of the wrong type, a string"}},
		"UTF-16":                    {stdin("\xff\xfea\x00:\x00 \x001\x00"), []string{"stdin: is not UTF-8"}},
		"no namespace's name":       {Options{Files: []string{"testdata/pod.yaml"}, Namespace: "Foo_Bar"}, []string{`--namespace "Foo_Bar"`}},
		"two configurations":        {stdin(standInConfig + "---\n" + standInConfig), []string{"stdin:5: document 2: a second BulkheadConfiguration"}},
		"a wrong configuration":     {stdin(standInConfig + "unknown: 1\n"), []string{"stdin:1: document 1", "unknown"}},
		"a Tenant twice":            {stdin(tenant + "---\n" + tenant), []string{`tenant "a" is defined twice`}},
		"no configuration file":     {Options{Files: []string{"testdata/pod.yaml"}, Config: "nothere.yaml"}, []string{"nothere.yaml"}},
		"no tenant file":            {Options{Files: []string{"testdata/pod.yaml"}, Tenant: "./nothere.yaml"}, []string{"--tenant ./nothere.yaml"}},
		"no Tenant in it":           {Options{Files: []string{"testdata/pod.yaml"}, Tenant: file("pod.yaml", pod)}, []string{"no object there is a Tenant"}},
		"a wrong Tenant in it":      {Options{Files: []string{"testdata/pod.yaml"}, Tenant: file("wrong.yaml", tenant+"more: 1\n")}, []string{"wrong.yaml:1", `"more"`}},
		"no rules":                  {Options{Files: []string{"testdata/pod.yaml"}, CustomRules: t.TempDir()}, []string{"no .rego files"}},
		"a misspelt rule":           {Options{Files: []string{"testdata/pod.yaml"}, CustomRules: filepath.Dir(file("rule.rgo", ""))}, []string{"is not named *.rego"}},
		"rules that do not compile": {Options{Files: []string{"testdata/pod.yaml"}, CustomRules: filepath.Dir(brokenRule(t))}, []string{"compile the rules"}},
		"more than there may be":    {Options{Files: []string{"-"}, Stdin: io.LimitReader(zeros{}, maxInput+1)}, []string{"stdin: more than 64 MiB"}},
		"too many documents":        {stdin(strings.Repeat("{}", maxObjects+1)), []string{"stdin: more than 100000 documents"}},
		"too many items":            {stdin(`{"apiVersion": "v1", "kind": "List", "items": [` + strings.Repeat("0,", maxObjects) + "0]}"), []string{"stdin:1: document 1: a List of more than"}},
		"Lists in Lists":            {stdin(strings.Repeat(`{"apiVersion": "v1", "kind": "List", "items": [`, 9) + strings.Repeat("]}", 9)), []string{"in more than 4 Lists"}},
		"an input that is an error": {Options{Files: []string{"-"}, Stdin: failing{}}, []string{"stdin: gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Progress = io.Discard
			report, err := Run(t.Context(), test.options)
			if err == nil {
				t.Fatalf("no error, but %+v", report)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// TestNothingJudged: what no rule is about passes, but not strictly.
func TestNothingJudged(t *testing.T) {
	for name, test := range map[string]struct {
		manifest string
		strict   bool
		passed   bool
	}{
		"another's kind":         {"{apiVersion: example.com/v1, kind: pod, metadata: {name: a}}", false, true},
		"another's kind, strict": {"{apiVersion: example.com/v1, kind: pod, metadata: {name: a}}", true, false},
		"a ConfigMap, strict":    {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}", true, false},
		"beside one that is":     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, Options{Files: []string{"-"}, Stdin: strings.NewReader(test.manifest), Strict: test.strict})
			if report.Passed != test.passed {
				t.Errorf("passed %t: %s, %+v", report.Passed, report.Summary(), report.Findings)
			}
			if said := strings.Contains(report.Summary(), "Nothing was judged"); said == report.Passed {
				t.Errorf("summary %q", report.Summary())
			}
		})
	}
}

func brokenRule(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broken.rego")
	if err := os.WriteFile(path, []byte("package bulkhead.custom.broken\nviolations contains"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("gone") }

// TestInterrupted: a silent pipe keeps nobody waiting.
func TestInterrupted(t *testing.T) {
	reader, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	if _, err := Run(ctx, Options{Files: []string{"-"}, Stdin: reader, Progress: io.Discard}); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error %v", err)
	}
}

// TestRefusedUnjudged: what the API server or the webhook takes for no object at all is a
// violation, and no reason to stop.
func TestRefusedUnjudged(t *testing.T) {
	for name, test := range map[string]struct{ manifest, rule, want string }{
		"a wrong type":         {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: 3}}", idInvalid, "containers"},
		"a number for a label": {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {a: 1}\nspec: {containers: [{name: a, image: a}]}", idInvalid, "labels"},
		"no name":              {"{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{image: a}]}}", idInvalid, "no name"},
		"no namespace":         {"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: A_b}, spec: {containers: [{name: a, image: a}]}}", idInvalid, `namespace "A_b"`},
		"an unknown field":     {"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, date: {}}", idUnknownField, "date is not a field of v1 ConfigMap"},
		"a Tenant's":           {"{apiVersion: bulkhead.dev/v1alpha1, kind: Tenant, metadata: {name: a}, spec: {namespace: a}}", idInvalid, "spec.namespace"},
		"a Tenant's name":      {"{apiVersion: bulkhead.dev/v1alpha1, kind: Tenant, metadata: {name: Dave_1}, spec: {namespaces: [a]}}", idInvalid, `metadata.name "Dave_1"`},
		"a kind in small":      {"{apiVersion: v1, kind: pod, metadata: {name: a}}", idInvalid, "no kind pod of apiVersion v1: is it v1 Pod?"},
		"in another group":     {"{apiVersion: v1, kind: deployment, metadata: {name: a}}", idInvalid, "is it apps/v1 Deployment?"},
		"a kind misspelt":      {"{apiVersion: apps/v1, kind: Deploymnt, metadata: {name: a}}", idInvalid, "no kind Deploymnt of apiVersion apps/v1"},
		"a group misspelt":     {"{apiVersion: app/v1, kind: Deployment, metadata: {name: a}}", idInvalid, "is it apps/v1 Deployment?"},
		"a group in capitals":  {"{apiVersion: Discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}}", idInvalid, "is it discovery.k8s.io/v1 EndpointSlice?"},
		"no such version":      {"{apiVersion: v2, kind: Pod, metadata: {name: a}}", idInvalid, "is it v1 Pod?"},
		"our configuration":    {"{apiVersion: config.bulkhead.dev/v1alpha1, kind: Bulkheadconfiguration}", idInvalid, "is it config.bulkhead.dev/v1alpha1 BulkheadConfiguration?"},
		"another version":      {"{apiVersion: bulkhead.dev/v1, kind: Tenant, metadata: {name: a}}", idInvalid, "unknown kind"},
	} {
		t.Run(name, func(t *testing.T) {
			report := run(t, Options{Files: []string{"-"}, Stdin: strings.NewReader(test.manifest)})
			i := slices.IndexFunc(report.Findings, func(f Finding) bool { return f.Effect == Violation && f.Rule == test.rule })
			if report.Passed || i < 0 || !strings.Contains(report.Findings[i].Message, test.want) {
				t.Errorf("findings %+v", report.Findings)
			}
		})
	}
}
