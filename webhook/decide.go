package webhook

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// isPodSecurity tells whether the violation is one of the Pod Security Standards.
func isPodSecurity(v rego.Violation) bool { return strings.HasPrefix(v.ID, "pss-") }

// decide does what the terms say about what was found, in the words of Kubernetes'
// own PodSecurity plugin where the Pod Security Standards are concerned
// (k8s.io/pod-security-admission/admission/admission.go, EvaluatePod).
func (t terms) decide(found rego.Result) decision {
	d := allow()
	d.annotations = map[string]string{
		"enforcement":    string(t.enforcement),
		"enforce-policy": t.standards.enforce.String(),
	}
	if t.tenant != nil {
		d.tenant = t.tenant.Name
		d.annotations["tenant"] = t.tenant.Name
	}
	if t.note != "" {
		d.annotations["error"] = t.note
	}
	var all []string
	var denied []rego.Violation
	for _, v := range found.Violations {
		all = append(all, v.String())
		if !slices.Contains(d.rules, v.ID) {
			d.rules = append(d.rules, v.ID)
		}
		effect := t.enforcementOf(v)
		d.findings = append(d.findings, Finding{Violation: v, Standard: t.standardOf(v), Enforcement: effect})
		switch effect {
		case v1alpha1.Warn:
			d.warnings = append(d.warnings, t.unenforced(v)+": "+t.would(v))
		case v1alpha1.Audit: // the annotation is all
		default:
			denied = append(denied, v)
		}
	}
	if len(all) > 0 {
		d.annotations["violations"] = strings.Join(all, "\n")
	}
	if len(found.Audit) > 0 {
		d.annotations["audit-violations"] = fmt.Sprintf("would violate PodSecurity %q: %s", t.standards.audit, joined(found.Audit))
	}
	if len(denied) > 0 {
		d.allowed, d.outcome = false, outcomeDenied
		d.code, d.message = http.StatusForbidden, t.denial(denied)
		return d
	}
	for _, v := range without(found.Warnings, found.Violations) {
		d.warnings = append(d.warnings, fmt.Sprintf("would violate PodSecurity %q: %s", t.standards.warn, v))
		d.findings = append(d.findings, Finding{Violation: v, Standard: t.standards.warn.String(), Enforcement: v1alpha1.Warn})
	}
	return d
}

// enforcementOf is what becomes of the violation here; of a workload's template it may
// be less than of its pods.
func (t terms) enforcementOf(v rego.Violation) v1alpha1.Enforcement {
	effect := t.enforcementOfPods(v)
	if t.onlyWarn && effect == v1alpha1.Enforce {
		return v1alpha1.Warn
	}
	return effect
}

// enforcementOfPods: without a tenant, rules of the firewall only see to the names of
// its containers, which are nobody's anywhere: a pod that has them could be taken
// for a protected one.
func (t terms) enforcementOfPods(v rego.Violation) v1alpha1.Enforcement {
	if t.tenant == nil && strings.HasPrefix(v.ID, "fw-") {
		return v1alpha1.Enforce
	}
	return t.enforcement
}

// unenforced says what follows from a violation that is only warned of here.
func (t terms) unenforced(v rego.Violation) string {
	if t.enforcementOfPods(v) == v1alpha1.Enforce {
		return "this workload's pods will be refused"
	}
	return "not enforced"
}

// standardOf is the enforced standard for violations of it, and empty for others.
func (t terms) standardOf(v rego.Violation) string {
	if isPodSecurity(v) {
		return t.standards.enforce.String()
	}
	return ""
}

// would is the text of a violation that is not enforced.
func (t terms) would(v rego.Violation) string {
	if isPodSecurity(v) {
		return fmt.Sprintf("would violate PodSecurity %q: %s", t.standards.enforce, v)
	}
	return v.String()
}

// denial is the text of a denial: first what is no matter of the Pod Security
// Standards.
func (t terms) denial(denied []rego.Violation) string {
	var ours, standard []rego.Violation
	for _, v := range denied {
		if isPodSecurity(v) {
			standard = append(standard, v)
		} else {
			ours = append(ours, v)
		}
	}
	var parts []string
	if len(ours) > 0 {
		parts = append(parts, joined(ours))
	}
	if len(standard) > 0 {
		parts = append(parts, fmt.Sprintf("violates PodSecurity %q: %s", t.standards.enforce, joined(standard)))
	}
	return strings.Join(parts, "\n")
}

// joined is one text for all violations: the one itself, or a list.
func joined(violations []rego.Violation) string {
	if len(violations) == 1 {
		return violations[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d violations:", len(violations))
	for _, v := range violations {
		b.WriteString("\n- ")
		b.WriteString(v.String())
	}
	return b.String()
}

// without returns the violations that are none of the others.
func without(violations, others []rego.Violation) []rego.Violation {
	if len(violations) == 0 || len(others) == 0 {
		return violations
	}
	known := sets.New(others...)
	var rest []rego.Violation
	for _, v := range violations {
		if !known.Has(v) {
			rest = append(rest, v)
		}
	}
	return rest
}
