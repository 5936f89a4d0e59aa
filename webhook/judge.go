package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// subject is an object as the rules are asked about it.
type subject struct {
	raw json.RawMessage
	// sidecar is what a tenant's pod must carry.
	sidecar *rego.Sidecar
	// own are violations that were found without the rules.
	own []rego.Violation
}

// question is what all that is asked in one review has in common.
func (a *Admission) question(request *admissionv1.AdmissionRequest, t terms) rego.Input {
	in := rego.Input{
		Request: rego.Request{
			Operation:   string(request.Operation),
			Resource:    request.Resource.Resource,
			Subresource: request.SubResource,
			Namespace:   request.Namespace,
			Name:        request.Name,
			User:        rego.User{Name: request.UserInfo.Username, Groups: request.UserInfo.Groups},
		},
		Enforce: levelOf(t.standards.enforce),
		Cluster: rego.Cluster{
			PodCIDRs:     a.config.Cluster.PodCIDRs,
			ServiceCIDRs: a.config.Cluster.ServiceCIDRs,
			NodeCIDRs:    a.config.Cluster.NodeCIDRs,
			TenantCIDRs:  a.config.Cluster.TenantCIDRs,
		},
	}
	if t.standards.warn.Level != v1alpha1.Privileged && t.standards.warn != t.standards.enforce {
		in.Warn = levelOf(t.standards.warn)
	}
	if t.standards.audit.Level != v1alpha1.Privileged {
		in.Audit = levelOf(t.standards.audit)
	}
	if t.tenant != nil {
		in.Tenant = &rego.Tenant{
			Name:       t.tenant.Name,
			Namespaces: t.tenant.Spec.Namespaces,
			CIDRs:      t.tenant.Spec.Addressing.CIDRs,
			External:   t.tenant.Spec.Egress.External == v1alpha1.Allow,
			Networks:   t.tenant.Spec.Networks,
		}
	}
	return in
}

func levelOf(s v1alpha1.Standard) rego.Level {
	return rego.Level{Name: string(s.Level), Version: s.Version}
}

// ask asks the rules about an object as it would be stored. Of an update only what
// the object before it did not violate counts; old is nil otherwise.
func (a *Admission) ask(ctx context.Context, in rego.Input, object, old *subject) (rego.Result, error) {
	found, err := a.askAbout(ctx, in, object, old)
	if err != nil || old == nil || len(found.Violations)+len(found.Warnings)+len(found.Audit) == 0 {
		return withoutEchoes(found), err
	}
	before, err := a.askAbout(ctx, in, old, old)
	if err != nil {
		return rego.Result{}, fmt.Errorf("oldObject: %w", err)
	}
	return withoutEchoes(rego.Result{
		Violations: without(found.Violations, before.Violations),
		Warnings:   without(found.Warnings, before.Warnings),
		Audit:      without(found.Audit, before.Audit),
	}), nil
}

func (a *Admission) askAbout(ctx context.Context, in rego.Input, object, old *subject) (rego.Result, error) {
	in.Object, in.Sidecar = object.raw, object.sidecar
	if old != nil {
		in.OldObject = old.raw
	}
	found, err := a.engine().Evaluate(ctx, in)
	if err != nil {
		return rego.Result{}, err
	}
	found.Violations = slices.Concat(object.own, found.Violations)
	return found, nil
}

// withoutEchoes leaves of a container that should be the sidecar's and is not only
// that: what else such a container violates, the genuine one may.
func withoutEchoes(found rego.Result) rego.Result {
	altered := map[string]bool{}
	for _, v := range found.Violations {
		if v.ID == "fw-sidecar-genuine" || v.ID == "fw-sidecar-unchanged" {
			altered[v.Container] = true
		}
	}
	echo := func(v rego.Violation) bool {
		return isReserved(v.Container) && altered[v.Container] && v.ID != "fw-sidecar-genuine" && v.ID != "fw-sidecar-unchanged"
	}
	for _, list := range []*[]rego.Violation{&found.Violations, &found.Warnings, &found.Audit} {
		*list = slices.DeleteFunc(*list, echo)
	}
	return found
}

// podSubject is a pod with what it must carry.
func (a *Admission) podSubject(object *podObject, t terms) (*subject, error) {
	if object == nil {
		return nil, nil
	}
	s := &subject{raw: object.raw}
	if t.standards.enforce.Level != v1alpha1.Privileged {
		s.own = object.unknownFields()
	}
	if t.tenant == nil {
		return s, nil
	}
	var err error
	s.sidecar, err = a.expectedInput(t.tenant, object.pod)
	return s, err
}

func (a *Admission) expectedInput(tenant *tenants.Tenant, pod *corev1.Pod) (*rego.Sidecar, error) {
	expected, err := a.sidecars.expected(tenant, pod)
	if err != nil {
		return nil, err
	}
	return expected.input()
}

// askPod is ask for pods. One that is too large to judge in time is refused for that.
func (a *Admission) askPod(ctx context.Context, in rego.Input, object, old *podObject, t terms) (rego.Result, error) {
	if len(object.raw) > maxPod {
		return rego.Result{Violations: []rego.Violation{tooLargePod()}}, nil
	}
	subject, err := a.podSubject(object, t)
	if err != nil {
		return rego.Result{}, err
	}
	before, err := a.podSubject(old, t)
	if err != nil {
		return rego.Result{}, err
	}
	return a.ask(ctx, in, subject, before)
}
