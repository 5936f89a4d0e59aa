package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// Tenants knows who owns a namespace.
type Tenants interface {
	// Owner returns nil if nobody does, and an error if that is not known.
	Owner(ctx context.Context, namespace string) (*tenants.Tenant, error)
	// Problems returns what would be wrong with the tenant if it were stored.
	Problems(candidate *v1alpha1.Tenant) []tenants.Problem
}

// Engine evaluates the rules.
type Engine interface {
	Evaluate(ctx context.Context, in rego.Input) (rego.Result, error)
}

// Admission decides requests. It has no state of its own.
type Admission struct {
	config   *configv1alpha1.BulkheadConfiguration
	tenants  Tenants
	engine   Engine
	sidecars sidecars
}

// NewAdmission takes a validated configuration. A nil feed is none.
func NewAdmission(config *configv1alpha1.BulkheadConfiguration, tenants Tenants, engine Engine, feed Feed) (*Admission, error) {
	sidecars, err := newSidecars(config, feed)
	if err != nil {
		return nil, err
	}
	return &Admission{config, tenants, engine, sidecars}, nil
}

// terms say how a request of a namespace is treated.
type terms struct {
	// tenant owns the namespace; nil: nobody does.
	tenant      *tenants.Tenant
	enforcement v1alpha1.Enforcement
	// level is enforced as enforcement says; warnLevel only ever warns.
	level, warnLevel v1alpha1.Level
}

// admitUnlessExempt is admit for requests whose namespace and user alone can exempt
// them.
func (a *Admission) admitUnlessExempt(ctx context.Context, request *admissionv1.AdmissionRequest) (terms, *decision) {
	if d, ok := a.exempts(request); ok {
		return terms{}, &d
	}
	return a.admit(ctx, request)
}

// admit finds the terms of a request, or the decision where there is nothing more
// to ask. It may read the cluster live: ask what needs no tenant before.
func (a *Admission) admit(ctx context.Context, request *admissionv1.AdmissionRequest) (terms, *decision) {
	settled := func(d decision) (terms, *decision) { return terms{}, &d }
	if request.Namespace == "" {
		return settled(badRequest("a %s without a namespace", resourceOf(request)))
	}
	tenant, err := a.tenants.Owner(ctx, request.Namespace)
	if err != nil {
		return settled(failed(err))
	}
	if tenant == nil {
		return a.unassigned()
	}
	t := terms{
		tenant:      tenant,
		enforcement: tenant.Spec.Enforcement,
		level:       tenant.Spec.PodSecurity.Enforce,
		warnLevel:   tenant.Spec.PodSecurity.Warn,
	}
	if len(tenant.Problems) > 0 {
		text := fmt.Sprintf("tenant-not-ready: tenant %s: %s; have an administrator correct the Tenant or the configuration",
			tenant.Name, tenants.Texts(tenant.Problems))
		return settled(t.decide([]finding{{"tenant-not-ready", text}}, nil))
	}
	return t, nil
}

// unassigned are the terms of namespaces without a tenant. Whatever they are,
// nobody may use the names of the sidecar's containers (see decide).
func (a *Admission) unassigned() (terms, *decision) {
	t := terms{level: a.config.PodSecurity.Enforce, warnLevel: a.config.PodSecurity.Warn}
	switch a.config.Unassigned {
	case configv1alpha1.UnassignedEnforce:
		t.enforcement = v1alpha1.Enforce
	case configv1alpha1.UnassignedWarn:
		t.enforcement = v1alpha1.Warn
	case configv1alpha1.UnassignedIgnore:
		t = terms{enforcement: v1alpha1.Audit, level: v1alpha1.Privileged, warnLevel: v1alpha1.Privileged}
	default:
		d := failed(fmt.Errorf("the configuration's unassigned is %q", a.config.Unassigned))
		return terms{}, &d
	}
	return t, nil
}
