package webhook

import (
	"fmt"
	"net/http"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// outcome is what a decision came to, as metrics and logs tell it.
type outcome string

const (
	outcomeAllowed outcome = "allowed"
	outcomeDenied  outcome = "denied"
	// outcomeExempt: allowed unseen, as the configuration says.
	outcomeExempt outcome = "exempt"
	// outcomeError: denied because something failed, here or in the request.
	outcomeError outcome = "error"
)

// decision is the answer to a request. The zero value denies.
type decision struct {
	allowed bool
	outcome outcome
	// code and message of a denial.
	code    int32
	message string

	patch       []operation
	warnings    []string
	annotations map[string]string
	// rules are the ids that were violated, whatever followed from it.
	rules []string
	// findings are all that was found, also what only warns.
	findings []Finding
	// tenant is the name of the namespace's tenant, if it has one.
	tenant string
	// lookup says whether the decision was remembered; empty: nobody looked.
	lookup lookup
	// answer is what encode returned, of a decision that is remembered and so never
	// changed; nil: it is still to be asked.
	answer []byte
}

// Finding is one thing that was found wrong with an object.
type Finding struct {
	rego.Violation
	// Standard is what a violation of the Pod Security Standards violates, such as
	// baseline:latest; empty for other rules.
	Standard string
	// Enforcement is what follows: enforce refuses the object.
	Enforcement v1alpha1.Enforcement
}

// verb says what was decided, in two words.
func (d decision) verb() string {
	if d.allowed {
		return "allow"
	}
	return "deny"
}

func allow() decision {
	return decision{allowed: true, outcome: outcomeAllowed}
}

// exempt allows unseen; by says what exempts.
func exempt(by string) decision {
	return decision{allowed: true, outcome: outcomeExempt, annotations: map[string]string{"exempt": by}}
}

// tell warns of what keeps pods from being created, beside what is decided of the object:
// enforcement is what follows for them.
func (d *decision) tell(found []rego.Violation, enforcement v1alpha1.Enforcement) {
	for _, v := range found {
		d.warnings = append(d.warnings, v.String())
		d.findings = append(d.findings, Finding{Violation: v, Enforcement: enforcement})
	}
}

// badRequest denies what cannot be understood.
func badRequest(format string, args ...any) decision {
	return decision{outcome: outcomeError, code: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// failed denies because the answer is not known.
func failed(err error) decision {
	return decision{outcome: outcomeError, code: http.StatusInternalServerError, message: "denied because no decision was possible: " + err.Error()}
}
