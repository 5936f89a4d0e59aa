package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// resourceKind is a kind of object, and what it is called in paths.
type resourceKind struct {
	group, version, kind, resource string
}

func (k resourceKind) groupVersionKind() metav1.GroupVersionKind {
	return metav1.GroupVersionKind{Group: k.group, Version: k.version, Kind: k.kind}
}

var serviceKind = resourceKind{"", "v1", "Service", "services"}

// kinds are the handlers of the kinds that are judged when they are created and
// updated, beside pods.
var kinds = newKinds()

func newKinds() map[resourceKind]handler {
	handlers := map[resourceKind]handler{}
	for _, workload := range []struct {
		resourceKind
		path []string
	}{
		{resourceKind{"", "v1", "PodTemplate", "podtemplates"}, []string{"template"}},
		{resourceKind{"", "v1", "ReplicationController", "replicationcontrollers"}, []string{"spec", "template"}},
		{resourceKind{"apps", "v1", "Deployment", "deployments"}, []string{"spec", "template"}},
		{resourceKind{"apps", "v1", "ReplicaSet", "replicasets"}, []string{"spec", "template"}},
		{resourceKind{"apps", "v1", "StatefulSet", "statefulsets"}, []string{"spec", "template"}},
		{resourceKind{"apps", "v1", "DaemonSet", "daemonsets"}, []string{"spec", "template"}},
		{resourceKind{"batch", "v1", "Job", "jobs"}, []string{"spec", "template"}},
		{resourceKind{"batch", "v1", "CronJob", "cronjobs"}, []string{"spec", "jobTemplate", "spec", "template"}},
	} {
		handlers[workload.resourceKind] = validateTemplate(workload.groupVersionKind(), workload.path...)
	}
	for _, kind := range []resourceKind{
		serviceKind,
		{"", "v1", "Endpoints", "endpoints"},
		{"discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"},
	} {
		handlers[kind] = validateObject(kind.groupVersionKind(), requestNamespace)
	}
	volume := resourceKind{"", "v1", "PersistentVolume", "persistentvolumes"}
	handlers[volume] = validateObject(volume.groupVersionKind(), claimNamespace)
	namespace := resourceKind{"", "v1", "Namespace", "namespaces"}
	handlers[namespace] = validateNamespace(namespace.groupVersionKind())
	return handlers
}

// namespaceOf finds the namespace on whose terms an object of the request is judged;
// empty: nobody's.
type namespaceOf func(request *admissionv1.AdmissionRequest, raw []byte) (string, error)

func requestNamespace(request *admissionv1.AdmissionRequest, _ []byte) (string, error) {
	if request.Namespace == "" {
		return "", fmt.Errorf("a %s without a namespace", resourceOf(request))
	}
	return request.Namespace, nil
}

// claimNamespace: a PersistentVolume is judged for whoever has claimed it, so that
// one with a hostPath can be bound to no tenant (threat D3).
func claimNamespace(_ *admissionv1.AdmissionRequest, raw []byte) (string, error) {
	var volume struct {
		Spec struct {
			ClaimRef struct {
				Namespace string `json:"namespace"`
			} `json:"claimRef"`
		} `json:"spec"`
	}
	if err := unmarshal(raw, &volume); err != nil {
		return "", fmt.Errorf("decode PersistentVolume: %w", err)
	}
	return volume.Spec.ClaimRef.Namespace, nil
}

// validateObject asks the rules about an object other than a pod. What the object
// violated before an update does not count, unless it was another namespace's then.
func validateObject(kind metav1.GroupVersionKind, namespaceOf namespaceOf) handler {
	return func(a *Admission, ctx context.Context, request *admissionv1.AdmissionRequest) decision {
		if d, ok := a.exempts(request); ok {
			return d
		}
		if err := checkKind(request, kind); err != nil {
			return badRequest("%v", err)
		}
		object, old, err := a.objects(request, namespaceOf)
		if err != nil {
			return badRequest("%v", err)
		}
		if object.namespace == "" {
			return allow()
		}
		if d, ok := a.exemptsNamespace(object.namespace); ok {
			return d
		}
		if old != nil {
			same := sameToRules
			if request.SubResource == serviceStatus.subresource {
				same = sameStatus
			}
			if same, err := same(object.raw, old.raw); err != nil {
				return failed(err)
			} else if same {
				return allow()
			}
			if old.namespace != object.namespace {
				old = nil
			}
		}
		return a.judgeObject(ctx, request, object, old)
	}
}

// placed is an object and the namespace on whose terms it is judged.
type placed struct {
	raw       json.RawMessage
	namespace string
}

func (p *placed) subject() *subject {
	if p == nil {
		return nil
	}
	return &subject{raw: p.raw}
}

func (a *Admission) judgeObject(ctx context.Context, request *admissionv1.AdmissionRequest, object, old *placed) decision {
	t, err := a.termsOf(ctx, object.namespace)
	if err != nil {
		return failed(err)
	}
	if unready := a.unready(t); len(unready) > 0 {
		return t.decide(rego.Result{Violations: unready})
	}
	if addresses, err := addressesOf(object.raw); err != nil {
		return badRequest("%v", err)
	} else if len(object.raw) > maxPod || len(addresses) > maxAddresses {
		return t.decide(rego.Result{Violations: []rego.Violation{tooLargeObject(request.Kind.Kind)}})
	}
	in := a.question(request, t)
	if err := a.addFacts(&in, t.tenant, request.Resource.Resource, object.subject(), old.subject()); err != nil {
		return badRequest("%v", err)
	}
	found, err := a.ask(ctx, in, object.subject(), old.subject())
	if err != nil {
		return failed(err)
	}
	return t.decide(found)
}

func (a *Admission) objects(request *admissionv1.AdmissionRequest, namespaceOf namespaceOf) (object, old *placed, err error) {
	place := func(raw []byte) (*placed, error) {
		if len(raw) == 0 {
			return nil, fmt.Errorf("the request has no %s", request.Kind.Kind)
		}
		namespace, err := namespaceOf(request, raw)
		return &placed{raw, namespace}, err
	}
	if object, err = place(request.Object.Raw); err != nil {
		return nil, nil, fmt.Errorf("object: %w", err)
	}
	if request.Operation != admissionv1.Update {
		return object, nil, nil
	}
	if old, err = place(request.OldObject.Raw); err != nil {
		return nil, nil, fmt.Errorf("oldObject: %w", err)
	}
	return object, old, nil
}

// sameToRules tells whether an update leaves all alone that rules judge: everything
// but the status, which they only read as it was before, and of the metadata only the
// annotations. Equal bytes are enough: the API server encodes both objects.
func sameToRules(a, b []byte) (bool, error) {
	one, err := judged(a)
	if err != nil {
		return false, err
	}
	other, err := judged(b)
	if err != nil || len(one) != len(other) {
		return false, err
	}
	for name, value := range one {
		if !bytes.Equal(value, other[name]) {
			return false, nil
		}
	}
	return true, nil
}

// sameStatus is sameToRules for a status: the API server takes nothing else of such an
// update.
func sameStatus(a, b []byte) (bool, error) {
	var one, other struct {
		Status json.RawMessage `json:"status"`
	}
	if err := errors.Join(unmarshal(a, &one), unmarshal(b, &other)); err != nil {
		return false, fmt.Errorf("decode object: %w", err)
	}
	return bytes.Equal(one.Status, other.Status), nil
}

// judged are an object's members that rules may judge.
func judged(raw []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	var metadata struct {
		Annotations json.RawMessage `json:"annotations"`
	}
	if raw, ok := fields["metadata"]; ok {
		if err := unmarshal(raw, &metadata); err != nil {
			return nil, fmt.Errorf("decode metadata: %w", err)
		}
	}
	delete(fields, "status")
	fields["metadata"] = metadata.Annotations
	return fields, nil
}
