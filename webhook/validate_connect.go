package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// validateConnect judges exec and attach. The pod itself is not needed: an empty
// container name means an ordinary container to the API server, and the sidecar's
// are none (threat L5).
func (a *Admission) validateConnect(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	terms, settled := a.admitUnlessExempt(ctx, request)
	if settled != nil {
		return *settled
	}
	kind := "PodExecOptions"
	if routeOf(request) == podAttach {
		kind = "PodAttachOptions"
	}
	if err := checkKind(request, metav1.GroupVersionKind{Version: "v1", Kind: kind}); err != nil {
		return badRequest("%v", err)
	}
	if len(request.Object.Raw) == 0 {
		return badRequest("the request has no %s", kind)
	}
	result, err := a.engine.Evaluate(ctx, rego.Input{
		Request: regoRequest(request),
		Object:  request.Object.Raw,
		Enforce: rego.Level{Name: string(terms.level), Version: rego.Latest},
	})
	if err != nil {
		return failed(fmt.Errorf("%s: %w", kind, err))
	}
	return terms.decide(enforced(result.Violations), nil)
}
