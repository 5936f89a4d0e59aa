package charts

import (
	"fmt"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// hook is what both kinds of webhook have in common.
type hook struct {
	name     string
	client   admissionv1.WebhookClientConfig
	rules    []admissionv1.RuleWithOperations
	failure  *admissionv1.FailurePolicyType
	match    *admissionv1.MatchPolicyType
	effects  *admissionv1.SideEffectClass
	timeout  *int32
	selector *metav1.LabelSelector
	objects  *metav1.LabelSelector
	reviews  []string
}

// routed lists what a hook is asked about, one operation on one resource each.
func (h hook) routed() []string {
	var all []string
	for _, rule := range h.rules {
		for _, resource := range rule.Resources {
			for _, operation := range rule.Operations {
				for _, group := range rule.APIGroups {
					all = append(all, fmt.Sprintf("%s %s %s", operation, path.Join(group, resource), *rule.Scope))
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

func hooks(t *testing.T, values string) map[string]hook {
	t.Helper()
	all := objects(t, template(t, values))
	mutating := one[*admissionv1.MutatingWebhookConfiguration](t, all)
	validating := one[*admissionv1.ValidatingWebhookConfiguration](t, all)
	for _, annotations := range []map[string]string{mutating.Annotations, validating.Annotations} {
		if got := annotations["cert-manager.io/inject-ca-from"]; got != "bulkhead-system/bulkhead-webhook" {
			t.Errorf("inject-ca-from is %q", got)
		}
	}
	found := map[string]hook{}
	for _, w := range mutating.Webhooks {
		if w.ReinvocationPolicy == nil || *w.ReinvocationPolicy != admissionv1.IfNeededReinvocationPolicy {
			t.Errorf("%s: reinvocationPolicy is not IfNeeded (threat L12)", w.Name)
		}
		found[w.Name] = hook{w.Name, w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.SideEffects, w.TimeoutSeconds, w.NamespaceSelector, w.ObjectSelector, w.AdmissionReviewVersions}
	}
	for _, w := range validating.Webhooks {
		found[w.Name] = hook{w.Name, w.ClientConfig, w.Rules, w.FailurePolicy, w.MatchPolicy, w.SideEffects, w.TimeoutSeconds, w.NamespaceSelector, w.ObjectSelector, w.AdmissionReviewVersions}
	}
	return found
}

func TestWebhooks(t *testing.T) {
	exempt := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn,
		Values: []string{"bulkhead-system", "cert-manager", "kube-system", "monitoring"},
	}}}
	found := hooks(t, "config: {exempt: {namespaces: [monitoring, cert-manager, kube-system]}}")
	if len(found) != 8 {
		t.Errorf("%d webhooks, want 8", len(found))
	}
	for name, want := range map[string]struct {
		path     string
		failure  admissionv1.FailurePolicyType
		selector *metav1.LabelSelector
		routed   []string
	}{
		"mutate.bulkhead.dev": {"/mutate", admissionv1.Fail, exempt, []string{
			"CREATE pods Namespaced",
			"UPDATE pods/ephemeralcontainers Namespaced",
		}},
		"validate.bulkhead.dev": {"/validate", admissionv1.Fail, exempt, []string{
			"CONNECT pods/attach Namespaced",
			"CONNECT pods/exec Namespaced",
			"CREATE pods Namespaced",
			"UPDATE pods Namespaced",
			"UPDATE pods/ephemeralcontainers Namespaced",
			"UPDATE pods/resize Namespaced",
		}},
		"bindings.validate.bulkhead.dev": {"/validate", admissionv1.Fail, exempt, []string{
			"CREATE bindings Namespaced",
			"CREATE pods/binding Namespaced",
		}},
		"templates.validate.bulkhead.dev": {"/validate", admissionv1.Ignore, exempt, []string{
			"CREATE apps/daemonsets Namespaced", "CREATE apps/deployments Namespaced", "CREATE apps/replicasets Namespaced",
			"CREATE apps/statefulsets Namespaced", "CREATE batch/cronjobs Namespaced", "CREATE batch/jobs Namespaced",
			"CREATE podtemplates Namespaced", "CREATE replicationcontrollers Namespaced",
			"UPDATE apps/daemonsets Namespaced", "UPDATE apps/deployments Namespaced", "UPDATE apps/replicasets Namespaced",
			"UPDATE apps/statefulsets Namespaced", "UPDATE batch/cronjobs Namespaced", "UPDATE batch/jobs Namespaced",
			"UPDATE podtemplates Namespaced", "UPDATE replicationcontrollers Namespaced",
		}},
		"services.validate.bulkhead.dev": {"/validate", admissionv1.Fail, exempt, []string{
			"CREATE discovery.k8s.io/endpointslices Namespaced", "CREATE endpoints Namespaced", "CREATE services Namespaced",
			"UPDATE discovery.k8s.io/endpointslices Namespaced", "UPDATE endpoints Namespaced", "UPDATE services Namespaced", "UPDATE services/status Namespaced",
		}},
		"volumes.validate.bulkhead.dev": {"/validate", admissionv1.Fail, nil, []string{
			"CREATE persistentvolumes Cluster", "UPDATE persistentvolumes Cluster",
		}},
		"namespaces.validate.bulkhead.dev": {"/validate", admissionv1.Ignore, exempt, []string{
			"CREATE namespaces Cluster", "UPDATE namespaces Cluster",
		}},
		"tenants.validate.bulkhead.dev": {"/validate", admissionv1.Ignore, nil, []string{
			"CREATE bulkhead.dev/tenants Cluster",
			"DELETE bulkhead.dev/tenants Cluster",
			"UPDATE bulkhead.dev/tenants Cluster",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h, ok := found[name]
			if !ok {
				t.Fatal("missing")
			}
			service := h.client.Service
			if service == nil || service.Name != "bulkhead-webhook" || service.Namespace != releaseNamespace || *service.Path != want.path || *service.Port != 443 {
				t.Errorf("service is %v", service)
			}
			// Left to cert-manager: a bundle in the chart would undo its work on upgrade.
			if h.client.CABundle != nil {
				t.Error("caBundle is set")
			}
			if *h.failure != want.failure {
				t.Errorf("failurePolicy is %s, want %s", *h.failure, want.failure)
			}
			if *h.match != admissionv1.Equivalent || *h.effects != admissionv1.SideEffectClassNone || *h.timeout != 5 {
				t.Errorf("matchPolicy %s, sideEffects %s, timeout %d", *h.match, *h.effects, *h.timeout)
			}
			if h.objects != nil {
				t.Error("has an objectSelector: a tenant writes the labels of its pods")
			}
			if diff := cmp.Diff(want.selector, h.selector); diff != "" {
				t.Error("namespaceSelector (-want +got):\n", diff)
			}
			if diff := cmp.Diff([]string{"v1"}, h.reviews); diff != "" {
				t.Error("admissionReviewVersions (-want +got):\n", diff)
			}
			if diff := cmp.Diff(want.routed, h.routed()); diff != "" {
				t.Error("routed (-want +got):\n", diff)
			}
		})
	}
}

// TestTemplatesWebhook: what only warns waits for no webhook.
func TestTemplatesWebhook(t *testing.T) {
	const name = "templates.validate.bulkhead.dev"
	if h := hooks(t, "config: {workloadTemplates: enforce}")[name]; h.failure == nil || *h.failure != admissionv1.Fail {
		t.Error("enforced, and not failurePolicy Fail")
	}
	if _, found := hooks(t, "config: {workloadTemplates: ignore}")[name]; found {
		t.Error("ignored, and asked for")
	}
}
