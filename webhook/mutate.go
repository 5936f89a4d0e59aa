package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// mutation changes a pod. It is pure, and changes nothing that it has changed
// before.
type mutation func(*edit)

// edit is a pod on its way through the mutations: each changes the typed pod and
// writes the same change down as operations on the pod's document. A patch made by
// comparing typed pods would lose fields that our API version does not know.
type edit struct {
	pod   *corev1.Pod
	patch []operation
}

// add sets the member or inserts the element at the path.
func (e *edit) add(path string, value any) {
	e.patch = append(e.patch, operation{Op: "add", Path: path, Value: value})
}

func (e *edit) remove(path string) {
	e.patch = append(e.patch, operation{Op: "remove", Path: path})
}

// run applies the mutations in order.
func run(pod *corev1.Pod, mutations []mutation) *edit {
	e := &edit{pod: pod}
	for _, mutate := range mutations {
		mutate(e)
	}
	return e
}

// createMutations are the mutations of a new pod, in order. A Windows pod gets
// none: it cannot carry the firewall, and validation says so better than the API
// server would of what we put in.
func (a *Admission) createMutations(tenant *tenants.Tenant, pod *corev1.Pod) ([]mutation, error) {
	if pod.Spec.OS != nil && pod.Spec.OS.Name == corev1.Windows {
		return nil, nil
	}
	sidecar, err := a.sidecars.expected(tenant, pod)
	if err != nil {
		return nil, err
	}
	return []mutation{sidecar.inject, dropNetRaw, setSeccompProfile}, nil
}

// Mutate answers /mutate. It changes pods of tenants that are enforced; whether
// they may be is validation's question.
func (a *Admission) Mutate(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	mutate, ok := mutators[routeOf(request)]
	if !ok {
		return unknownRoute(request)
	}
	return mutate(a, ctx, request)
}

// mutateNothing: containers that are there cannot be changed.
func (a *Admission) mutateNothing(_ context.Context, request *admissionv1.AdmissionRequest) decision {
	if _, _, settled := a.pods(request); settled != nil {
		return *settled
	}
	return allow()
}

func (a *Admission) mutatePod(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	object, _, terms, settled := a.mutable(ctx, request)
	if settled != nil {
		return *settled
	}
	mutations, err := a.createMutations(terms.tenant, object.pod)
	if err != nil {
		return failed(err)
	}
	patch := run(object.pod, mutations).patch
	if reserved(object.pod.Spec.Containers) {
		return a.refuseCollision(ctx, request, object, patch, terms)
	}
	obstacles, err := a.obstacles(ctx, request.Namespace, terms.tenant)
	if err != nil {
		return failed(err)
	}
	d := terms.decide(rego.Result{Violations: obstacles.certain})
	d.tell(obstacles.possible, v1alpha1.Warn)
	d.patch = patch
	return d
}

func (a *Admission) mutateEphemeral(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	object, old, _, settled := a.mutable(ctx, request)
	if settled != nil {
		return *settled
	}
	d := allow()
	d.patch = run(object.pod, []mutation{dropNetRawOfNew(old.pod)}).patch
	return d
}

// mutable returns the pod of a request if its namespace's terms are to change pods, and
// it is none that would be refused after its patch was made, as large as it.
func (a *Admission) mutable(ctx context.Context, request *admissionv1.AdmissionRequest) (object, old *podObject, t terms, settled *decision) {
	if object, old, settled = a.pods(request); settled != nil {
		return nil, nil, terms{}, settled
	}
	if t, settled = a.admit(ctx, request); settled != nil {
		return nil, nil, terms{}, settled
	}
	if t.tenant == nil || t.enforcement != v1alpha1.Enforce {
		d := allow()
		return nil, nil, terms{}, &d
	}
	if len(object.raw) > maxPod {
		d := t.decide(rego.Result{Violations: []rego.Violation{tooLargePod()}})
		return nil, nil, terms{}, &d
	}
	return object, old, t, nil
}

// refuseCollision: a main container has a name of the sidecar's. All that the API
// server would say of the mutated pod is that the name occurs twice, so the rules
// say now what they would say then.
func (a *Admission) refuseCollision(ctx context.Context, request *admissionv1.AdmissionRequest, object *podObject, patch []operation, terms terms) decision {
	injected, err := patched(object, patch)
	if err != nil {
		return failed(err)
	}
	d := a.judge(ctx, a.question(request, terms), injected, nil, terms)
	if d.allowed {
		return failed(fmt.Errorf("a container has a reserved name, and no rule refuses it"))
	}
	return d
}

// patched is the pod after the patch, decoded anew.
func patched(object *podObject, patch []operation) (*podObject, error) {
	raw, err := apply(patch, object.raw)
	if err != nil {
		return nil, err
	}
	return decodePod(raw)
}
