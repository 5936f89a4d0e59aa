package check

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// Effect is what follows from a finding.
type Effect string

// The effects, from bad to good.
const (
	// Violation: the object, or the pods of the workload, would be refused.
	Violation Effect = "violation"
	// Warning: whoever creates it would be warned.
	Warning Effect = "warning"
	// Note: it would be noted in the API server's audit log.
	Note Effect = "note"
)

// Report is the result of a run.
type Report struct {
	Passed bool `json:"passed"`
	Strict bool `json:"strict"`
	// Notes say what was assumed because nobody said it.
	Notes []string `json:"notes"`
	// Judged and Exempt count objects, NotJudged those of kinds that no rule is about.
	Judged    int            `json:"judged"`
	Exempt    int            `json:"exempt"`
	NotJudged map[string]int `json:"notJudged"`
	// Violations, Warnings and NoteCount count findings.
	Violations int       `json:"violations"`
	Warnings   int       `json:"warnings"`
	NoteCount  int       `json:"noted"`
	Findings   []Finding `json:"findings"`

	objects []Object
	rules   map[string]rego.Rule
}

// Finding is one thing that is wrong with an object.
type Finding struct {
	// File is a path, or "stdin".
	File string `json:"file"`
	// Document counts the file's documents from 1, Line its lines.
	Document int    `json:"document"`
	Line     int    `json:"line"`
	Object   Object `json:"object"`
	Effect   Effect `json:"effect"`
	Rule     string `json:"rule"`
	// Standard is the level and version that a rule of the Pod Security Standards was
	// asked for.
	Standard  string `json:"standard,omitempty"`
	Severity  string `json:"severity,omitempty"`
	Threats   string `json:"threats,omitempty"`
	Container string `json:"container,omitempty"`
	Field     string `json:"field,omitempty"`
	Message   string `json:"message"`
	Remedy    string `json:"remedy"`
}

// Object names an object.
type Object struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`

	file  string
	index int
}

func (o Object) String() string { return o.Kind + " " + o.path() }

func (o Object) path() string {
	if o.Namespace == "" {
		return o.Name
	}
	return o.Namespace + "/" + o.Name
}

func newReport(strict bool, t *terms, rules []rego.Rule, objects []*object, answers []answer) *Report {
	r := &Report{Strict: strict, Notes: append([]string{}, t.notes...), NotJudged: map[string]int{}, Findings: []Finding{}, rules: map[string]rego.Rule{}}
	for _, rule := range rules {
		r.rules[rule.ID] = rule
	}
	for i, o := range objects {
		object := Object{printable(o.APIVersion), printable(o.Kind), printable(o.namespace), printable(o.name()), printable(filepath.ToSlash(o.file)), i}
		if o.is("v1", "Namespace") {
			object.Namespace = "" // that it is judged in itself, nobody needs to read
		}
		switch a := answers[i]; {
		case t.exempt(o.namespace) && !o.is("v1", "Namespace"):
			r.Exempt++
			continue
		case a.judged || o.isConfig():
			r.Judged++
		default:
			r.NotJudged[object.APIVersion+" "+object.Kind]++
		}
		r.objects = append(r.objects, object)
		found := make([]Finding, 0, len(answers[i].findings))
		for _, f := range answers[i].findings {
			found = append(found, newFinding(o, object, f))
		}
		slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
		r.Findings = append(r.Findings, found...)
	}
	for _, f := range r.Findings {
		switch f.Effect {
		case Warning:
			r.Warnings++
		case Note:
			r.NoteCount++
		default:
			r.Violations++
		}
	}
	r.Passed = !slices.ContainsFunc(r.Findings, r.fails) && !r.vacuous()
	return r
}

// fails tells whether the finding fails the run.
func (r *Report) fails(f Finding) bool { return f.Effect == Violation || r.Strict }

// vacuous: strictly taken, who asks about manifests and hears of none has asked about the
// wrong ones. Those in exempt namespaces were looked at.
func (r *Report) vacuous() bool { return r.Strict && r.Judged+r.Exempt == 0 }

func newFinding(o *object, object Object, f webhook.Finding) Finding {
	path := f.Field
	if o.path != "" {
		path = strings.TrimSuffix(o.path+"."+path, ".")
	}
	return Finding{
		File: object.file, Document: o.number, Line: o.lineOf(path, f.Container), Object: object, Effect: effectOf(f),
		Rule: f.ID, Standard: f.Standard, Severity: f.Severity, Threats: f.Threat, Container: printable(f.Container),
		Field: printable(f.Field), Message: printable(f.Message), Remedy: printable(f.Remedy),
	}
}

func effectOf(f webhook.Finding) Effect {
	switch f.Enforcement {
	case v1alpha1.Warn:
		return Warning
	case v1alpha1.Audit:
		return Note
	default:
		return Violation
	}
}

// Summary says in a line what was looked at, and in another what was not.
func (r *Report) Summary() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s judged: %s, %s", count(r.Judged, "object"), count(r.Violations, "violation"), count(r.Warnings, "warning"))
	if r.NoteCount > 0 {
		fmt.Fprintf(&b, ", %s", count(r.NoteCount, "note"))
	}
	b.WriteString(".")
	if r.Exempt > 0 {
		fmt.Fprintf(&b, " %s in exempt namespaces.", count(r.Exempt, "object"))
	}
	if len(r.NotJudged) > 0 {
		var kinds []string
		for _, kind := range slices.Sorted(maps.Keys(r.NotJudged)) {
			kinds = append(kinds, fmt.Sprintf("%d %s", r.NotJudged[kind], kind))
		}
		fmt.Fprintf(&b, "\nNot judged, no rule is about them: %s.", strings.Join(kinds, ", "))
	}
	if r.vacuous() {
		b.WriteString("\nNothing was judged, which fails with --strict.")
	}
	return b.String()
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// printable keeps what manifests say from moving the reader's cursor, or from beginning
// a line, which CI systems may take for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
