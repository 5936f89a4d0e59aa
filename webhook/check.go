package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// Object is an object that somebody would create.
type Object struct {
	// JSON is the whole object, with apiVersion and kind.
	JSON []byte
	// Namespace is that of the object, or for one that names none where it would go.
	Namespace string
	// User is who would create it; empty: nobody in particular.
	User string
}

// ErrNotJudged is the error of Check for kinds that are never routed to an Admission.
var ErrNotJudged = errors.New("objects of this kind are not judged")

// ErrInvalid is the error of Check for objects that the API server or the webhook would
// refuse unjudged, because they make no sense.
var ErrInvalid = errors.New("invalid")

// Judges tells whether Check judges objects of the kind.
func Judges(kind schema.GroupVersionKind) bool {
	_, ok := resourceOfKind(metav1.GroupVersionKind(kind))
	return ok
}

// Check tells what reviews would find in an object if it were created: the same
// decisions as in a cluster, mutation first. Field paths are those of the object as it is
// given. An error means that nothing is known of the object.
func (a *Admission) Check(ctx context.Context, object Object) ([]Finding, error) {
	request, err := object.request()
	if err != nil {
		return nil, err
	}
	var told []Finding
	if mutate, ok := mutators[routeOf(request)]; ok {
		d := mutate(a, ctx, request)
		if !d.allowed {
			return findings(d)
		}
		told = d.findings
		if request.Object.Raw, err = apply(d.patch, request.Object.Raw); err != nil {
			return nil, err
		}
	}
	validate, ok := validators[routeOf(request)]
	if !ok {
		return nil, ErrNotJudged
	}
	found, err := findings(validate(a, ctx, request))
	if err == nil && request.Kind == podKind {
		err = a.asWritten(ctx, object, found)
	}
	return append(told, found...), err
}

func findings(d decision) ([]Finding, error) {
	switch {
	case d.outcome != outcomeError:
		return d.findings, nil
	case d.code == http.StatusBadRequest:
		return nil, fmt.Errorf("%w: %s", ErrInvalid, d.message)
	default:
		return nil, errors.New(d.message)
	}
}

// asWritten makes paths in a pod, into which the sidecar was put, paths in the pod as it
// was before.
func (a *Admission) asWritten(ctx context.Context, object Object, found []Finding) error {
	tenant, err := a.tenants.Owner(ctx, object.Namespace)
	if err != nil || tenant == nil || len(found) == 0 {
		return err
	}
	pod, err := decodePod(object.JSON)
	if err != nil {
		return err
	}
	in := template{injected: true, initContainers: pod.pod.Spec.InitContainers}
	for i := range found {
		found[i].Violation = in.readdress([]rego.Violation{found[i].Violation})[0]
	}
	return nil
}

// request is what an API server would ask about the object.
func (o Object) request() (*admissionv1.AdmissionRequest, error) {
	var object metav1.PartialObjectMetadata
	if err := unmarshal(o.JSON, &object); err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	version, err := schema.ParseGroupVersion(object.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("decode object: %w", err)
	}
	kind := metav1.GroupVersionKind(version.WithKind(object.Kind))
	resource, ok := resourceOfKind(kind)
	if !ok {
		return nil, ErrNotJudged
	}
	return &admissionv1.AdmissionRequest{
		UID:       "check",
		Kind:      kind,
		Resource:  metav1.GroupVersionResource{Group: version.Group, Version: version.Version, Resource: resource},
		Operation: admissionv1.Create,
		Name:      object.Name,
		Namespace: o.Namespace,
		UserInfo:  authenticationv1.UserInfo{Username: o.User},
		Object:    runtime.RawExtension{Raw: o.JSON},
	}, nil
}

// resourceOfKind is the resource of a kind that is judged when it is created.
func resourceOfKind(kind metav1.GroupVersionKind) (string, bool) {
	switch kind {
	case podKind:
		return podCreate.resource, true
	case tenantKind:
		return tenantCreate.resource, true
	}
	for k := range kinds {
		if k.groupVersionKind() == kind {
			return k.resource, true
		}
	}
	return "", false
}
