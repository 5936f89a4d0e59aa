package charts

import (
	"context"
	"encoding/json"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/util/compatibility"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/component-base/featuregate"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// apiServer is the API server's own plugin for ValidatingAdmissionPolicies, with the
// rendered policies and some Tenants in its informers.
type apiServer struct {
	plugin     *validating.Plugin
	interfaces admission.ObjectInterfaces
}

func newAPIServer(t testing.TB, rendered []runtime.Object, tenants []*bulkheadv1alpha1.Tenant, namespaces ...string) *apiServer {
	t.Helper()
	var stored []runtime.Object
	for _, object := range rendered {
		switch object := object.(type) {
		case *admissionregistrationv1.ValidatingAdmissionPolicy:
			object.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{} // the API server's default
			stored = append(stored, object)
		case *admissionregistrationv1.ValidatingAdmissionPolicyBinding:
			if object.Spec.MatchResources != nil {
				object.Spec.MatchResources.ObjectSelector = &metav1.LabelSelector{}
			}
			stored = append(stored, object)
		}
	}
	for _, name := range namespaces {
		stored = append(stored, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelMetadataName: name}}})
	}
	var params []runtime.Object
	for _, tenant := range tenants {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(tenant)
		if err != nil {
			t.Fatal(err)
		}
		params = append(params, &unstructured.Unstructured{Object: content})
	}
	resource := bulkheadv1alpha1.GroupVersion.WithResource("tenants")
	dynamicClient := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{resource: "TenantList"}, params...)
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(bulkheadv1alpha1.GroupVersion.WithKind("Tenant"), meta.RESTScopeRoot)
	client := fake.NewClientset(stored...)
	factory := informers.NewSharedInformerFactory(client, 0)

	plugin, err := validating.NewPlugin(nil)
	if err != nil {
		t.Fatal(err)
	}
	initializer.New(client, dynamicClient, factory, authorizerfactory.NewAlwaysAllowAuthorizer(), featuregate.NewFeatureGate(),
		compatibility.DefaultBuildEffectiveVersion(), t.Context().Done(), mapper).Initialize(plugin)
	if err := plugin.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	if !plugin.WaitForReady() {
		t.Fatal("the plugin is not ready")
	}
	return &apiServer{plugin, admission.NewObjectInterfacesFromScheme(clientscheme.Scheme)}
}

// request is what a tenant asks of the API server.
type request struct {
	operation   admission.Operation
	subresource string
	namespace   string
	user        string
	object, old runtime.Object
}

func (r request) kind() schema.GroupVersionKind { return r.object.GetObjectKind().GroupVersionKind() }

// refusal is what the policies say of a request; nil if they let it pass.
func (s *apiServer) refusal(ctx context.Context, r request) error {
	attributes := admission.NewAttributesRecord(r.object, r.old, r.kind(), r.namespace, "pod",
		corev1.SchemeGroupVersion.WithResource("pods"), r.subresource, r.operation, nil, false, &user.DefaultInfo{Name: r.user})
	return s.plugin.Validate(ctx, attributes, s.interfaces)
}

// decodePod reads a pod as the API server would hold it.
func decodePod(t testing.TB, data []byte) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal(data, pod); err != nil {
		t.Fatal(err)
	}
	return pod
}
