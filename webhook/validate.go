package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// Validate answers /validate.
func (a *Admission) Validate(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	switch routeOf(request) {
	case podCreate, podUpdate, podEphemeral, podResize:
		return a.validatePod(ctx, request)
	case podExec, podAttach:
		return a.validateConnect(ctx, request)
	case tenantCreate, tenantUpdate:
		return a.validateTenant(request)
	default:
		return unknownRoute(request)
	}
}

func (a *Admission) validatePod(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	terms, settled := a.admit(ctx, request)
	if settled != nil {
		return *settled
	}
	object, old, err := decodePods(request)
	if err != nil {
		return badRequest("%v", err)
	}
	if a.exemptsPod(object.pod) {
		return exempt("runtime class")
	}
	if request.Operation == admissionv1.Create && terms.tenant != nil && terms.enforcement != v1alpha1.Enforce {
		// Nothing was injected. What would enforce have refused?
		mutations, err := a.createMutations(terms.tenant, object.pod)
		if err != nil {
			return failed(err)
		}
		if object, err = patched(object, run(object.pod, mutations).patch); err != nil {
			return failed(err)
		}
	}
	return a.judge(ctx, request, object, old, terms)
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

// judge asks the rules about a pod as it would be stored. old is nil but for an
// update, of which only violations that the old pod does not have count.
func (a *Admission) judge(ctx context.Context, request *admissionv1.AdmissionRequest, object, old *podObject, terms terms) decision {
	q, err := a.newQuestion(request, object, old, terms)
	if err != nil {
		return failed(err)
	}
	// Rules are functions of the document: equal documents, equal violations.
	if old != nil && bytes.Equal(q.document, q.oldDocument) {
		return allow()
	}
	refused, err := q.violations(ctx, terms.level)
	if err != nil {
		return failed(err)
	}
	var warned []rego.Violation
	if terms.warnLevel != terms.level {
		if warned, err = q.violations(ctx, terms.warnLevel); err != nil {
			return failed(err)
		}
		warned = without(warned, refused)
	}
	return terms.decide(enforced(refused), warnings(terms.warnLevel, warned))
}

// question is what is asked about one pod.
type question struct {
	engine                Engine
	request               rego.Request
	object, old           *podObject
	document, oldDocument json.RawMessage
	sidecar, oldSidecar   *rego.Sidecar
}

func (a *Admission) newQuestion(request *admissionv1.AdmissionRequest, object, old *podObject, terms terms) (*question, error) {
	q := &question{engine: a.engine, request: regoRequest(request), object: object, old: old}
	var err error
	if q.document, q.sidecar, err = a.ask(object, terms); err != nil {
		return nil, err
	}
	if old != nil {
		if q.oldDocument, q.oldSidecar, err = a.ask(old, terms); err != nil {
			return nil, fmt.Errorf("oldObject: %w", err)
		}
	}
	return q, nil
}

func (a *Admission) ask(object *podObject, terms terms) (json.RawMessage, *rego.Sidecar, error) {
	document, err := object.document()
	if err != nil || terms.tenant == nil {
		return document, nil, err
	}
	expected, err := a.sidecars.expected(terms.tenant, object.pod)
	if err != nil {
		return nil, nil, err
	}
	input, err := expected.input()
	return document, input, err
}

// violations of the level, less those of the old pod.
func (q *question) violations(ctx context.Context, level v1alpha1.Level) ([]rego.Violation, error) {
	in := rego.Input{Request: q.request, Object: q.document, OldObject: q.oldDocument, Level: string(level), Sidecar: q.sidecar}
	result, err := q.engine.Evaluate(ctx, in)
	if err != nil {
		return nil, err
	}
	violations := append(q.object.unknownFields(), result.Violations...)
	if q.old == nil || len(violations) == 0 {
		return violations, nil
	}
	in.Object, in.Sidecar = q.oldDocument, q.oldSidecar
	if result, err = q.engine.Evaluate(ctx, in); err != nil {
		return nil, fmt.Errorf("oldObject: %w", err)
	}
	return without(violations, append(q.old.unknownFields(), result.Violations...)), nil
}

func without(violations, others []rego.Violation) []rego.Violation {
	return slices.DeleteFunc(violations, func(v rego.Violation) bool { return slices.Contains(others, v) })
}

func regoRequest(request *admissionv1.AdmissionRequest) rego.Request {
	return rego.Request{
		Operation:   string(request.Operation),
		Resource:    request.Resource.Resource,
		Subresource: request.SubResource,
		Namespace:   request.Namespace,
		Name:        request.Name,
		User:        rego.User{Name: request.UserInfo.Username, Groups: request.UserInfo.Groups},
	}
}
