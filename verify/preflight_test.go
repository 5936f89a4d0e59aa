package verify

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// TestPreflightAsksForOwners: before anything is made, a namespace that is nobody's ends a run with --existing, and one
// of a tenant's has the tenant's ranges.
func TestPreflightAsksForOwners(t *testing.T) {
	alice := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": map[string]any{"name": "alice"},
		"spec": map[string]any{"namespaces": []any{"alice"}, "addressing": map[string]any{"mode": "cidr", "cidrs": []any{"172.16.1.0/24"}}},
	}}
	client := fake.NewClientset(&admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "bulkhead"}, Webhooks: []admissionv1.ValidatingWebhook{{Name: webhookName}},
	})
	client.PrependReactor("create", "selfsubjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SelfSubjectAccessReview)
		review.Status.Allowed = true
		return true, review, nil
	})
	tenants := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{tenantResource: "TenantList"}, alice)
	o := NewOptions()
	o.Existing, o.A.Namespace, o.B.Namespace = true, "alice", "nosuch"
	r := run{options: o, client: client, tenants: tenants.Resource(tenantResource)}

	if err := r.preflight(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "no Tenant owns namespace nosuch") {
		t.Error(err)
	}
	if got := r.options.A.CIDRs; len(got) != 1 || got[0].String() != "172.16.1.0/24" {
		t.Errorf("ranges of alice: %v", got)
	}
}
