package webhook

import (
	"context"
	"fmt"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

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

// Namespaces knows what is said of namespaces.
type Namespaces interface {
	// Labels returns the labels of the namespace that begin with
	// pod-security.kubernetes.io/, and an error if they are not known.
	Labels(ctx context.Context, namespace string) (map[string]string, error)
	// Limits returns the limits of the namespace's LimitRanges.
	Limits(namespace string) ([]corev1.LimitRangeItem, error)
}

// Engine evaluates one set of rules, which is for good. Two can be compared by ==.
type Engine interface {
	Evaluate(ctx context.Context, in rego.Input) (rego.Result, error)
	// Canonical returns an input whose result is the same, and that more inputs have.
	Canonical(in rego.Input) rego.Input
}

// Admission decides requests. It has no state of its own but what it remembers.
type Admission struct {
	config     *configv1alpha1.BulkheadConfiguration
	tenants    Tenants
	namespaces Namespaces
	engine     func() Engine
	identity   tenants.Identity
	addresses  Addresses
	running    Pods
	patience   time.Duration // with which they are checked
	checking   chan struct{} // is full while they are, for one request at a time
	sidecars   sidecars
	decisions  *decisions
}

// Parts are what an Admission asks.
type Parts struct {
	Tenants    Tenants
	Namespaces Namespaces
	// Engine returns the rules in force. A review asks for them once.
	Engine func() Engine
	// Remember bounds the bytes of decisions on new pods that are remembered for others
	// of the same workload; 0: none are.
	Remember int
	// Feed is where sidecars report to; nil: there is none.
	Feed Feed
	// Identity says whether tenants with addressing identity can be served; nil: they
	// cannot, there is no feed.
	Identity tenants.Identity
	// Addresses is what the feed knows of them; nil: nothing.
	Addresses Addresses
	// Pods are those that run; nil: they are not looked at.
	Pods Pods
}

// NewAdmission takes a validated configuration.
func NewAdmission(config *configv1alpha1.BulkheadConfiguration, parts Parts) (*Admission, error) {
	sidecars, err := newSidecars(config, parts.Feed)
	if err != nil {
		return nil, err
	}
	return &Admission{
		config:     config,
		tenants:    parts.Tenants,
		namespaces: parts.Namespaces,
		engine:     parts.Engine,
		identity:   parts.Identity,
		addresses:  parts.Addresses,
		running:    parts.Pods,
		patience:   existingPatience,
		checking:   make(chan struct{}, 1),
		sidecars:   sidecars,
		decisions:  newDecisions(parts.Remember),
	}, nil
}

// terms say how a request of a namespace is treated.
type terms struct {
	// tenant owns the namespace; nil: nobody does.
	tenant      *tenants.Tenant
	enforcement v1alpha1.Enforcement
	// standards.enforce is enforced as enforcement says.
	standards standards
	// onlyWarn: what would be enforced is only told.
	onlyWarn bool
	// note says what is wrong with the namespace's labels.
	note string
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
	if request.Namespace == "" {
		d := badRequest("a %s without a namespace", resourceOf(request))
		return terms{}, &d
	}
	t, err := a.termsOf(ctx, request.Namespace)
	if err != nil {
		d := failed(err)
		return terms{}, &d
	}
	if unready := a.unready(t); len(unready) > 0 {
		d := t.decide(rego.Result{Violations: unready})
		return terms{}, &d
	}
	return t, nil
}

// termsOf finds the terms of a namespace, whatever is wrong with its tenant.
func (a *Admission) termsOf(ctx context.Context, namespace string) (terms, error) {
	tenant, err := a.tenants.Owner(ctx, namespace)
	if err != nil {
		return terms{}, err
	}
	labels, note, err := a.labelled(ctx, namespace)
	if err != nil {
		return terms{}, err
	}
	t, err := a.termsWith(tenant, labels)
	t.note = note
	return t, err
}

// termsWith are the terms of a namespace with such labels.
func (a *Admission) termsWith(tenant *tenants.Tenant, labels standards) (terms, error) {
	if tenant == nil {
		return a.unassigned(labels)
	}
	return terms{
		tenant:      tenant,
		enforcement: tenant.Spec.Enforcement,
		standards:   standardsOf(tenant.Spec.PodSecurity).stricter(labels),
	}, nil
}

// unready is what keeps the tenant's pods from being admitted.
func (a *Admission) unready(t terms) []rego.Violation {
	if t.tenant == nil {
		return nil
	}
	problems := t.tenant.Unready(a.identity)
	if len(problems) == 0 {
		return nil
	}
	return []rego.Violation{{
		ID:      "tenant-not-ready",
		Message: fmt.Sprintf("tenant %s: %s", t.tenant.Name, tenants.Texts(problems)),
		Remedy:  "have an administrator correct the Tenant or the configuration",
	}}
}

// ownTerms hold for what is nobody's but Bulkhead's: violations deny.
func ownTerms() terms {
	return terms{enforcement: v1alpha1.Enforce, standards: noStandards()}
}

// labelled returns what the namespace's labels ask for where they are honoured, with
// a note of what they say wrong.
func (a *Admission) labelled(ctx context.Context, namespace string) (s standards, note string, err error) {
	if a.config.PodSecurity.NamespaceLabels != configv1alpha1.NamespaceLabelsHonour {
		return noStandards(), "", nil
	}
	labels, err := a.namespaces.Labels(ctx, namespace)
	if err != nil {
		return standards{}, "", fmt.Errorf("read the labels of namespace %s: %w", namespace, err)
	}
	s, errs := labelled(labels)
	if len(errs) > 0 {
		note = "Failed to parse policy: " + errs.ToAggregate().Error()
	}
	return s, note, nil
}

// unassigned are the terms of namespaces without a tenant. Whatever they are,
// nobody may use the names of the sidecar's containers (see decide). A level that
// labels enforce is enforced whatever the configuration does about its own.
func (a *Admission) unassigned(labels standards) (terms, error) {
	own := standardsOf(a.config.PodSecurity.PodSecurity)
	labelsEnforce := labels.enforce.Level != v1alpha1.Privileged
	switch mode := a.config.Unassigned; {
	case mode == configv1alpha1.UnassignedEnforce:
		return terms{enforcement: v1alpha1.Enforce, standards: own.stricter(labels)}, nil
	case mode == configv1alpha1.UnassignedWarn && !labelsEnforce:
		return terms{enforcement: v1alpha1.Warn, standards: own.stricter(labels)}, nil
	case mode == configv1alpha1.UnassignedWarn:
		own.warn, own.audit = v1alpha1.Stricter(own.warn, own.enforce), v1alpha1.Stricter(own.audit, own.enforce)
		own.enforce = privileged()
		return terms{enforcement: v1alpha1.Enforce, standards: own.stricter(labels)}, nil
	case mode == configv1alpha1.UnassignedIgnore && labels != noStandards():
		return terms{enforcement: v1alpha1.Enforce, standards: labels}, nil
	case mode == configv1alpha1.UnassignedIgnore:
		return terms{enforcement: v1alpha1.Audit, standards: labels}, nil
	default:
		return terms{}, fmt.Errorf("the configuration's unassigned is %q", mode)
	}
}
