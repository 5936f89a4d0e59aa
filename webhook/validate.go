package webhook

import (
	"context"
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// Validate answers /validate.
func (a *Admission) Validate(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	switch routeOf(request) {
	case podCreate, podUpdate, podEphemeral, podResize:
		return a.validatePod(ctx, request)
	case podExec, podAttach:
		return a.validateConnect(ctx, request)
	case podBinding, binding:
		return a.validateBinding(ctx, request)
	case tenantCreate, tenantUpdate:
		return a.validateTenant(request)
	case tenantDelete:
		return a.decideTenant(request, nil)
	default:
		return unknownRoute(request)
	}
}

func (a *Admission) validatePod(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	object, old, settled := a.pods(request)
	if settled != nil {
		return *settled
	}
	if old != nil {
		// No rule can find anything new, and a pod must be able to lose a finalizer
		// whatever is wrong with its tenant.
		if same, err := sameToRules(object, old); err != nil {
			return failed(err)
		} else if same {
			return allow()
		}
	}
	terms, settled := a.admit(ctx, request)
	if settled != nil {
		return *settled
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

// judge asks the rules about a pod as it would be stored. old is nil but for an
// update, of which only violations that the old pod does not have count.
func (a *Admission) judge(ctx context.Context, request *admissionv1.AdmissionRequest, object, old *podObject, terms terms) decision {
	q, err := a.newQuestion(request, object, old, terms)
	if err != nil {
		return failed(err)
	}
	refused, err := q.violations(ctx, terms.level)
	if err != nil {
		return failed(err)
	}
	if terms.warnLevel == terms.level {
		return terms.decide(enforced(refused), nil)
	}
	warned, err := q.violations(ctx, terms.warnLevel)
	if err != nil {
		return failed(err)
	}
	return terms.decide(enforced(refused), warnings(terms.warnLevel, without(warned, refused)))
}

// question is what is asked about one pod.
type question struct {
	engine              Engine
	request             rego.Request
	object, old         *podObject
	sidecar, oldSidecar *rego.Sidecar
}

func (a *Admission) newQuestion(request *admissionv1.AdmissionRequest, object, old *podObject, terms terms) (*question, error) {
	q := &question{engine: a.engine, request: regoRequest(request), object: object, old: old}
	if terms.tenant == nil {
		return q, nil
	}
	var err error
	if q.sidecar, err = a.expectedInput(terms.tenant, object.pod); err != nil {
		return nil, err
	}
	if old != nil {
		q.oldSidecar, err = a.expectedInput(terms.tenant, old.pod)
	}
	return q, err
}

func (a *Admission) expectedInput(tenant *tenants.Tenant, pod *corev1.Pod) (*rego.Sidecar, error) {
	expected, err := a.sidecars.expected(tenant, pod)
	if err != nil {
		return nil, err
	}
	return expected.input()
}

// violations of the level, less those of the old pod.
func (q *question) violations(ctx context.Context, level v1alpha1.Level) ([]rego.Violation, error) {
	in := rego.Input{Request: q.request, Object: q.object.raw, Enforce: rego.Level{Name: string(level), Version: rego.Latest}, Sidecar: q.sidecar}
	if q.old != nil {
		in.OldObject = q.old.raw
	}
	if len(q.object.raw) > maxPod {
		return []rego.Violation{tooLargePod()}, nil
	}
	violations, err := q.of(ctx, q.object, in)
	if err != nil || q.old == nil || len(violations) == 0 {
		return violations, err
	}
	in.Object, in.Sidecar = q.old.raw, q.oldSidecar
	before, err := q.of(ctx, q.old, in)
	if err != nil {
		return nil, fmt.Errorf("oldObject: %w", err)
	}
	return without(violations, before), nil
}

func (q *question) of(ctx context.Context, object *podObject, in rego.Input) ([]rego.Violation, error) {
	result, err := q.engine.Evaluate(ctx, in)
	if err != nil {
		return nil, err
	}
	if in.Enforce.Name == rego.Privileged {
		return result.Violations, nil
	}
	return append(object.unknownFields(), result.Violations...), nil
}

func without(violations, others []rego.Violation) []rego.Violation {
	known := sets.New(others...)
	return slices.DeleteFunc(violations, known.Has)
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
