package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/rego"
)

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// Validate answers /validate.
func (a *Admission) Validate(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	validate, ok := validators[routeOf(request)]
	if !ok {
		return unknownRoute(request)
	}
	return validate(a, ctx, request)
}

func (a *Admission) validatePodUpdate(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	object, old, settled := a.pods(request)
	if settled != nil {
		return *settled
	}
	// No rule can find anything new, and a pod must be able to lose a finalizer whatever
	// is wrong with its tenant.
	if same, err := sameToRules(object.raw, old.raw); err != nil {
		return failed(err)
	} else if same {
		return allow()
	}
	terms, settled := a.admit(ctx, request)
	if settled != nil {
		return *settled
	}
	return a.judge(ctx, a.question(request, terms), object, old, terms)
}

// judge asks the rules about a pod as it would be stored, and decides.
func (a *Admission) judge(ctx context.Context, in rego.Input, object, old *podObject, t terms) decision {
	found, err := a.askPod(ctx, in, object, old, t)
	if err != nil {
		return failed(err)
	}
	return t.decide(found)
}

// pods returns the pod of the request, and the one before an update; or the decision
// if the configuration exempts it, or it cannot be understood.
func (a *Admission) pods(request *admissionv1.AdmissionRequest) (object, old *podObject, settled *decision) {
	if d, ok := a.exempts(request); ok {
		return nil, nil, &d
	}
	object, old, err := decodePods(request)
	if err != nil {
		d := badRequest("%v", err)
		return nil, nil, &d
	}
	if d, ok := a.exemptsPod(object.pod); ok {
		return nil, nil, &d
	}
	return object, old, nil
}

// decodePods returns the pod of the request, and the one before an update.
func decodePods(request *admissionv1.AdmissionRequest) (object, old *podObject, err error) {
	if err := checkKind(request, podKind); err != nil {
		return nil, nil, err
	}
	if object, err = decodePod(request.Object.Raw); err != nil {
		return nil, nil, fmt.Errorf("object: %w", err)
	}
	if request.Operation != admissionv1.Update {
		return object, nil, nil
	}
	if old, err = decodePod(request.OldObject.Raw); err != nil {
		return nil, nil, fmt.Errorf("oldObject: %w", err)
	}
	return object, old, nil
}
