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
	d.annotations = map[string]string{"enforcement": string(t.enforcement)}
	if t.tenant != nil {
		d.annotations["tenant"] = t.tenant.Name
	}
	var all, denied []string
	for _, f := range findings {
		all = append(all, f.text)
		if !slices.Contains(d.rules, f.rule) {
			d.rules = append(d.rules, f.rule)
		}
		switch t.enforcementOf(f) {
		case v1alpha1.Warn:
			d.warnings = append(d.warnings, "not enforced: "+f.text)
		case v1alpha1.Audit: // the annotation is all
		default:
			denied = append(denied, f.text)
		}
	}
	d.warnings = append(d.warnings, warnings...)
	if len(all) > 0 {
		d.annotations["violations"] = strings.Join(all, "\n")
	}
	if len(denied) > 0 {
		d.allowed, d.outcome = false, outcomeDenied
		d.code, d.message = http.StatusForbidden, joined(denied)
	}
	return d
}

// enforcementOf: without a tenant, rules of the firewall only see to the names of
// its containers, which are nobody's anywhere: a pod that has them could be taken
// for a protected one.
func (t terms) enforcementOf(f finding) v1alpha1.Enforcement {
	if t.tenant == nil && strings.HasPrefix(f.rule, "fw-") {
		return v1alpha1.Enforce
	}
	return t.enforcement
}

// joined is one text for all violations: the one itself, or a list.
func joined(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	return fmt.Sprintf("%d violations:\n- %s", len(texts), strings.Join(texts, "\n- "))
}
