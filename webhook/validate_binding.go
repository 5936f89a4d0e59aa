package webhook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// validateBinding judges what a scheduler, which a tenant may play, writes on a pod
// by binding it: the API server copies a Binding's annotations to the pod, after the
// pod was admitted (threat L18). No scheduler of Kubernetes sets any; labels, which
// no rule reads, the API server itself adds.
func (a *Admission) validateBinding(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
	terms, settled := a.admitUnlessExempt(ctx, request)
	if settled != nil {
		return *settled
	}
	if err := checkKind(request, metav1.GroupVersionKind{Version: "v1", Kind: "Binding"}); err != nil {
		return badRequest("%v", err)
	}
	binding := &corev1.Binding{}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(request.Object.Raw, binding); err != nil {
		return badRequest("decode binding: %v", err)
	}
	if len(binding.Annotations) == 0 {
		return terms.decide(rego.Result{})
	}
	keys := slices.Sorted(maps.Keys(binding.Annotations))
	return terms.decide(rego.Result{Violations: []rego.Violation{{
		ID:      "binding-annotations",
		Field:   "metadata.annotations",
		Message: fmt.Sprintf("metadata.annotations sets %s on a pod that is already admitted", strings.Join(keys, ", ")),
		Remedy:  "annotate the pod when it is created",
	}}})
}
