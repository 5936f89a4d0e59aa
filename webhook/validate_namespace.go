package webhook

import (
	"context"
	"fmt"
	"maps"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// validateNamespace looks at the Pod Security labels that a namespace gets. Honoured,
// they must be readable, as Kubernetes' own plugin wants them; left to that plugin,
// they must not keep a tenant's pods from starting, of which it warns. Whose a
// namespace is hangs on its name alone (threat L11), and deletion is free. Pods that run
// and violate what is enforced from now on are named in warnings.
func validateNamespace(kind metav1.GroupVersionKind) handler {
	return func(a *Admission, ctx context.Context, request *admissionv1.AdmissionRequest) decision {
		if d, ok := a.exempts(request); ok {
			return d
		}
		if err := checkKind(request, kind); err != nil {
			return badRequest("%v", err)
		}
		name, labels, err := namespaceLabels(request.Object.Raw)
		if err != nil {
			return badRequest("object: %v", err)
		}
		before := labels
		if request.Operation == admissionv1.Update {
			_, before, err = namespaceLabels(request.OldObject.Raw)
			if err != nil {
				return badRequest("oldObject: %v", err)
			}
			if maps.Equal(labels, before) {
				return allow()
			}
		}
		if a.config.PodSecurity.NamespaceLabels == configv1alpha1.NamespaceLabelsHonour {
			return a.decideLabels(ctx, request, name, before, labels)
		}
		return a.warnOfLabels(ctx, name, labels)
	}
}

func (a *Admission) decideLabels(ctx context.Context, request *admissionv1.AdmissionRequest, name string, before, labels map[string]string) decision {
	now, errs := labelled(labels)
	var violations []rego.Violation
	for _, err := range errs {
		violations = append(violations, rego.Violation{
			ID: "namespace-label", Field: err.Field, Message: err.Error(), Remedy: "correct the label",
		})
	}
	d := ownTerms().decide(rego.Result{Violations: violations})
	if !d.allowed || request.Operation != admissionv1.Update || a.running == nil {
		return d
	}
	earlier, _ := labelled(before)
	existing, err := a.warnOfExisting(ctx, request, name, earlier, now)
	if err != nil {
		klog.ErrorS(err, "Existing pods are not checked", "namespace", name)
	}
	d.warnings = append(d.warnings, existing...)
	return d
}

func (a *Admission) warnOfLabels(ctx context.Context, name string, labels map[string]string) decision {
	tenant, err := a.tenants.Owner(ctx, name)
	if err != nil {
		return failed(err)
	}
	d := allow()
	if tenant == nil || tenant.Spec.Enforcement != v1alpha1.Enforce {
		return d
	}
	d.tell(labelObstacles(name, labels, tenant), v1alpha1.Warn)
	return d
}

// namespaceLabels are the labels that labelled reads.
func namespaceLabels(raw []byte) (name string, labels map[string]string, err error) {
	var namespace struct {
		Metadata struct {
			Name   string            `json:"name"`
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if len(raw) == 0 {
		return "", nil, fmt.Errorf("the request has no Namespace")
	}
	if err := unmarshal(raw, &namespace); err != nil {
		return "", nil, fmt.Errorf("decode Namespace: %w", err)
	}
	return namespace.Metadata.Name, podSecurityLabels(namespace.Metadata.Labels), nil
}
