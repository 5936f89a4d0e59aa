package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// finding is something that was found wrong, in the form of all our refusals:
// "<rule id>: <what, with container and field path>; <what to do>".
type finding struct {
	rule, text string
}

func enforced(violations []rego.Violation) []finding {
	findings := make([]finding, len(violations))
	for i, violation := range violations {
		findings[i] = finding{violation.ID, violation.String()}
	}
	return findings
}

// warnings are what a stricter level than the enforced one would find.
func warnings(level v1alpha1.Level, violations []rego.Violation) []string {
	texts := make([]string, len(violations))
	for i, violation := range violations {
		texts[i] = fmt.Sprintf("level %s: %s", level, violation)
	}
	return texts
}

// decide does what the terms say about the findings. The warnings are only ever
// told.
func (t terms) decide(findings []finding, warnings []string) decision {
	d := allow()
	d.warnings = warnings
	d.annotations = map[string]string{"enforcement": string(t.enforcement)}
	if t.tenant != nil {
		d.annotations["tenant"] = t.tenant.Name
	}
	if len(findings) == 0 {
		return d
	}
	var texts []string
	for _, f := range findings {
		texts = append(texts, f.text)
		if !slices.Contains(d.rules, f.rule) {
			d.rules = append(d.rules, f.rule)
		}
	}
	d.annotations["violations"] = strings.Join(texts, "\n")
	switch t.enforcement {
	case v1alpha1.Warn:
		for i, text := range texts {
			texts[i] = "not enforced: " + text
		}
		d.warnings = append(texts, warnings...)
	case v1alpha1.Audit: // the annotation is all
	default:
		d.allowed, d.outcome = false, outcomeDenied
		d.code, d.message = http.StatusForbidden, joined(texts)
	}
	return d
}

// joined is one text for all violations: the one itself, or a list.
func joined(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprintf("%d violations:\n- %s", len(texts), strings.Join(texts, "\n- "))
}
