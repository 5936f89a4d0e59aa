package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// route is one kind of request that the chart's webhook configurations send.
type route struct {
	group, version, resource, subresource string
	operation                             admissionv1.Operation
}

func (r route) String() string {
	return fmt.Sprintf("%s of %s/%s in group %q version %s", r.operation, r.resource, r.subresource, r.group, r.version)
}

// The requests that this package answers. Any other is denied: somebody routes it
// here and expects it to be looked at.
var (
	podCreate    = route{"", "v1", "pods", "", admissionv1.Create}
	podUpdate    = route{"", "v1", "pods", "", admissionv1.Update}
	podEphemeral = route{"", "v1", "pods", "ephemeralcontainers", admissionv1.Update}
	podResize    = route{"", "v1", "pods", "resize", admissionv1.Update}
	podExec      = route{"", "v1", "pods", "exec", admissionv1.Connect}
	podAttach    = route{"", "v1", "pods", "attach", admissionv1.Connect}
	podBinding   = route{"", "v1", "pods", "binding", admissionv1.Create}
	binding      = route{"", "v1", "bindings", "", admissionv1.Create} // the older way
	// serviceStatus is how a load balancer's addresses are written (threat S4).
	serviceStatus = route{"", "v1", "services", "status", admissionv1.Update}
	tenantCreate  = route{v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "tenants", "", admissionv1.Create}
	tenantUpdate  = route{v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "tenants", "", admissionv1.Update}
	tenantDelete  = route{v1alpha1.GroupVersion.Group, v1alpha1.GroupVersion.Version, "tenants", "", admissionv1.Delete}
)

// handler decides the requests of a route.
type handler func(*Admission, context.Context, *admissionv1.AdmissionRequest) decision

// mutators are the handlers of /mutate.
var mutators = map[route]handler{
	podCreate:    (*Admission).mutatePod,
	podUpdate:    (*Admission).mutateNothing,
	podEphemeral: (*Admission).mutateEphemeral,
	podResize:    (*Admission).mutateNothing,
}

// validators are the handlers of /validate.
var validators = newValidators()

func newValidators() map[route]handler {
	handlers := map[route]handler{
		podCreate:    (*Admission).validatePod,
		podUpdate:    (*Admission).validatePodUpdate,
		podEphemeral: (*Admission).validatePodUpdate,
		podResize:    (*Admission).validatePodUpdate,
		podExec:      (*Admission).validateConnect,
		podAttach:    (*Admission).validateConnect,
		podBinding:   (*Admission).validateBinding,
		binding:      (*Admission).validateBinding,
		tenantCreate: (*Admission).validateTenant,
		tenantUpdate: (*Admission).validateTenant,
		tenantDelete: (*Admission).deleteTenant,
	}
	for kind, validate := range kinds {
		for _, operation := range []admissionv1.Operation{admissionv1.Create, admissionv1.Update} {
			handlers[route{kind.group, kind.version, kind.resource, "", operation}] = validate
		}
	}
	handlers[serviceStatus] = kinds[serviceKind]
	return handlers
}

func routeOf(request *admissionv1.AdmissionRequest) route {
	resource := request.Resource
	return route{resource.Group, resource.Version, resource.Resource, request.SubResource, request.Operation}
}

// resourceOf names the resource as RBAC does.
func resourceOf(request *admissionv1.AdmissionRequest) string {
	if request.SubResource == "" {
		return request.Resource.Resource
	}
	return request.Resource.Resource + "/" + request.SubResource
}

// known tells whether the route is one of ours.
func known(r route) bool {
	_, ok := validators[r]
	return ok
}

func unknownRoute(request *admissionv1.AdmissionRequest) decision {
	return badRequest("bulkhead does not know what to do with %s; correct the webhook configuration", routeOf(request))
}

// checkKind makes sure that the object is what the route is about.
func checkKind(request *admissionv1.AdmissionRequest, want metav1.GroupVersionKind) error {
	if request.Kind != want {
		return fmt.Errorf("got an object of kind %s instead of %s", request.Kind, want)
	}
	return nil
}
