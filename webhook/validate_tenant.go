package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

var tenantKind = metav1.GroupVersionKind(v1alpha1.GroupVersion.WithKind("Tenant"))

// validateTenant refuses what the CRD cannot: changes by those who are no
// administrators, and what needs the other Tenants or the configuration to judge.
// An update that leaves the spec alone passes, so that labels, finalizers and the
// like can be changed on a Tenant that does not hold.
func (a *Admission) validateTenant(_ context.Context, request *admissionv1.AdmissionRequest) decision {
	tenant, err := decodeTenant(request, request.Object.Raw)
	if err != nil {
		return badRequest("object: %v", err)
	}
	if request.Operation == admissionv1.Update {
		old, err := decodeTenant(request, request.OldObject.Raw)
		if err != nil {
			return badRequest("oldObject: %v", err)
		}
		if equality.Semantic.DeepEqual(old.Spec, tenant.Spec) {
			return allow()
		}
	}
	var violations []rego.Violation
	for _, problem := range a.tenants.Problems(tenant) {
		violations = append(violations, rego.Violation{
			ID: "tenant-invalid", Field: problem.Err.Field, Message: problem.Err.Error(), Remedy: "correct the Tenant",
		})
	}
	return a.decideTenant(request, violations)
}

func (a *Admission) deleteTenant(_ context.Context, request *admissionv1.AdmissionRequest) decision {
	return a.decideTenant(request, nil)
}

// decideTenant refuses the violations, and whoever is no administrator: a Tenant that
// is deleted leaves its namespaces without firewalls.
func (a *Admission) decideTenant(request *admissionv1.AdmissionRequest, violations []rego.Violation) decision {
	if !a.isAdministrator(request.UserInfo) {
		violations = []rego.Violation{{
			ID:      "tenant-administrators",
			Message: fmt.Sprintf("user %s is not among the configuration's administrators", request.UserInfo.Username),
			Remedy:  "ask one of them",
		}}
	}
	return ownTerms().decide(rego.Result{Violations: violations})
}

func decodeTenant(request *admissionv1.AdmissionRequest, raw []byte) (*v1alpha1.Tenant, error) {
	if err := checkKind(request, tenantKind); err != nil {
		return nil, err
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("the request has no Tenant")
	}
	tenant := &v1alpha1.Tenant{}
	strict, err := kjson.UnmarshalStrict(raw, tenant)
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	if err != nil {
		return nil, fmt.Errorf("decode tenant: %w", err)
	}
	if tenant.Name == "" {
		return nil, fmt.Errorf("decode tenant: no name")
	}
	return tenant, nil
}

// isAdministrator is true for everybody where the configuration names nobody:
// RBAC alone decides then.
func (a *Admission) isAdministrator(user authenticationv1.UserInfo) bool {
	administrators := a.config.Administrators
	if len(administrators.Groups) == 0 && len(administrators.Users) == 0 {
		return true
	}
	return slices.Contains(administrators.Users, user.Username) ||
		slices.ContainsFunc(user.Groups, func(group string) bool { return slices.Contains(administrators.Groups, group) })
}
