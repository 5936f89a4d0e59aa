package webhook

import (
	"context"
	"fmt"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	found, err := a.ask(ctx, a.question(request, terms), &subject{raw: request.Object.Raw}, nil)
	if err != nil {
		return failed(fmt.Errorf("%s: %w", kind, err))
	}
	return terms.decide(found)
}
