package webhook

import (
	"context"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// validatePod decides on the creation of a pod. All pods of a workload have one
// canonical form, of which the rules are asked: what was decided on one of them holds
// for the rest, as long as nothing else changes that it followed from (see keyOf).
func (a *Admission) validatePod(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	if d, ok := a.exempts(request); ok {
		return d
	}
	if err := checkKind(request, podKind); err != nil {
		return badRequest("%v", err)
	}
	t, settled := a.admit(ctx, request)
	if settled != nil {
		// First of all it must be a pod, and one that is not exempt.
		if _, _, first := a.pods(request); first != nil {
			return *first
		}
		return *settled
	}
	in := a.question(request, t)
	in.Object = request.Object.Raw
	now, feed, err := a.now()
	if size := len(in.Object); size == 0 || size > maxPod || err != nil {
		return a.decidePod(ctx, in, t) // which says what is wrong
	}
	engine := now.engine()
	in = engine.Canonical(in)
	key, err := keyOf(in, t, feed)
	if err != nil {
		return failed(err)
	}
	if d, ok := a.decisions.get(engine, key); ok {
		d.lookup = lookupHit
		return d
	}
	d := now.decidePod(ctx, in, t)
	if d.outcome != outcomeError {
		if d.answer, err = d.encode(); err != nil {
			return failed(err)
		}
		a.decisions.put(engine, key, d)
	}
	d.lookup = lookupMiss
	return d
}

// now is the admission with the rules and the feed of this moment, so that a review
// sees but one state of each.
func (a *Admission) now() (*Admission, *sidecarconfig.Feed, error) {
	now, engine := *a, a.engine()
	now.engine = func() Engine { return engine }
	if a.sidecars.feed == nil {
		return &now, nil, nil
	}
	feed, err := a.sidecars.feed()
	if err != nil {
		return nil, nil, err
	}
	now.sidecars.feed = func() (*sidecarconfig.Feed, error) { return feed, nil }
	return &now, feed, nil
}

// decidePod decides on a new pod, the question's object.
func (a *Admission) decidePod(ctx context.Context, in rego.Input, t terms) decision {
	object, err := decodePod(in.Object)
	if err != nil {
		return badRequest("object: %v", err)
	}
	if d, ok := a.exemptsPod(object.pod); ok {
		return d
	}
	if t.tenant != nil && t.enforcement != v1alpha1.Enforce && len(object.raw) <= maxPod {
		// Nothing was injected. What would enforce have refused?
		if object, err = a.injected(object, t); err != nil {
			return failed(err)
		}
	}
	return a.judge(ctx, in, object, nil, t)
}

// injected is a tenant's pod as mutation would have made it.
func (a *Admission) injected(object *podObject, t terms) (*podObject, error) {
	// The mutations change the pod that they are given.
	copied := &podObject{raw: object.raw, pod: object.pod.DeepCopy()}
	mutations, err := a.createMutations(t.tenant, copied.pod)
	if err != nil {
		return nil, err
	}
	return patched(object, run(copied.pod, mutations).patch)
}
