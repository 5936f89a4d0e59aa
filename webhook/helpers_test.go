package webhook

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

const testConfig = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
exempt:
  namespaces: [kube-system]
  users: ["system:serviceaccount:ops:builder"]
  runtimeClasses: [kata]
cluster:
  podCIDRs: [10.244.0.0/16]
  serviceCIDRs: [10.96.0.0/16]
  nodeCIDRs: [192.168.0.0/24]
  tenantCIDRs: [172.16.0.0/16, "fd00:1::/48"]
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

// Tenants of every enforcement, and two that claim one namespace.
const testTenants = `
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: alice}
spec: {namespaces: [alice], addressing: {mode: cidr, cidrs: [172.16.1.0/24, "fd00:1:0:1::/64"]}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: strict}
spec:
  namespaces: [strict]
  addressing: {mode: cidr, cidrs: [172.16.2.0/24]}
  podSecurity: {enforce: restricted}
  egress: {metadata: allow, nodes: allow, external: deny}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: warned}
spec: {namespaces: [warned], addressing: {mode: cidr, cidrs: [172.16.3.0/24]}, enforcement: warn}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: audited}
spec: {namespaces: [audited], addressing: {mode: cidr, cidrs: [172.16.4.0/24]}, enforcement: audit}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: first}
spec: {namespaces: [disputed], addressing: {mode: cidr, cidrs: [172.16.5.0/24]}}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: second}
spec: {namespaces: [disputed], addressing: {mode: cidr, cidrs: [172.16.6.0/24]}, enforcement: audit}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: live}
spec: {namespaces: [live]}
`

// The rules take a while to compile.
var testEngine = sync.OnceValues(func() (*rego.Engine, error) { return rego.New(context.Background(), nil) })

func engine(t testing.TB) *rego.Engine {
	t.Helper()
	engine, err := testEngine()
	if err != nil {
		t.Fatal(err)
	}
	return engine
}

// always is one engine, for good.
func always(engine Engine) func() Engine { return func() Engine { return engine } }

// newTestAdmission decides by testTenants and testConfig with the given changes.
func newTestAdmission(t testing.TB, change ...func(*configv1alpha1.BulkheadConfiguration)) *Admission {
	t.Helper()
	return newTestAdmissionWithFeed(t, nil, change...)
}

// testFeed is where sidecars report to in tests.
func testFeed() (*sidecarconfig.Feed, error) {
	return &sidecarconfig.Feed{
		Address:    netip.MustParseAddrPort("10.96.0.9:443"),
		ServerName: "bulkhead-feed.bulkhead-system.svc",
		CA:         "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
	}, nil
}

func newTestAdmissionWithFeed(t testing.TB, feed Feed, change ...func(*configv1alpha1.BulkheadConfiguration)) *Admission {
	t.Helper()
	return newTestAdmissionWithParts(t, Parts{Feed: feed}, change...)
}

// newTestAdmissionWithParts adds to the parts all that has nothing to do with the feed.
func newTestAdmissionWithParts(t testing.TB, parts Parts, change ...func(*configv1alpha1.BulkheadConfiguration)) *Admission {
	t.Helper()
	config, err := configv1alpha1.Parse([]byte(testConfig))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(config)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "tenants.yaml"), []byte(testTenants), 0o600); err != nil {
		t.Fatal(err)
	}
	static, err := tenants.Load(config, folder)
	if err != nil {
		t.Fatal(err)
	}
	parts.Tenants, parts.Namespaces, parts.Engine = static, testNamespaces{}, always(engine(t))
	if parts.Remember == 0 {
		parts.Remember = 1 << 20
	}
	admission, err := NewAdmission(config, parts)
	if err != nil {
		t.Fatal(err)
	}
	return admission
}

// testNamespaces says of each namespace what it holds.
type testNamespaces map[string]testNamespace

type testNamespace struct {
	labels map[string]string
	limits []corev1.LimitRangeItem
	err    error
}

func (n testNamespaces) Labels(_ context.Context, namespace string) (map[string]string, error) {
	return n[namespace].labels, n[namespace].err
}

func (n testNamespaces) Limits(namespace string) ([]corev1.LimitRangeItem, error) {
	return n[namespace].limits, nil
}

// podJSON makes a pod of a spec in YAML.
func podJSON(t testing.TB, spec string) []byte {
	t.Helper()
	return toJSON(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n"+indent(spec))
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

func toJSON(t testing.TB, text string) []byte {
	t.Helper()
	data, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return data
}

// newRequest is a request as the API server sends it; old may be nil.
func newRequest(r route, namespace string, object, old []byte) *admissionv1.AdmissionRequest {
	kind := "Pod"
	switch {
	case r == podExec:
		kind = "PodExecOptions"
	case r == podAttach:
		kind = "PodAttachOptions"
	case r.resource == "tenants":
		kind = "Tenant"
	case r == podBinding, r == binding:
		kind = "Binding"
	}
	return &admissionv1.AdmissionRequest{
		UID:         "11111111-2222-3333-4444-555555555555",
		Kind:        metav1.GroupVersionKind{Group: r.group, Version: r.version, Kind: kind},
		Resource:    metav1.GroupVersionResource{Group: r.group, Version: r.version, Resource: r.resource},
		SubResource: r.subresource,
		Operation:   r.operation,
		Namespace:   namespace,
		UserInfo:    authenticationv1.UserInfo{Username: "mallory", Groups: []string{"system:authenticated"}},
		Object:      runtime.RawExtension{Raw: object},
		OldObject:   runtime.RawExtension{Raw: old},
	}
}

func (a *Admission) mustOwner(t testing.TB, namespace string) *tenants.Tenant {
	t.Helper()
	owner, err := a.tenants.Owner(t.Context(), namespace)
	if err != nil || owner == nil {
		t.Fatalf("owner of %s: %v, %v", namespace, owner, err)
	}
	return owner
}

// mutated is the pod after the webhook's patch, as the API server would have it.
func mutated(t testing.TB, a *Admission, namespace string, pod []byte) []byte {
	t.Helper()
	d := a.Mutate(t.Context(), newRequest(podCreate, namespace, pod, nil))
	if !d.allowed {
		t.Fatalf("mutate denied: %s", d.message)
	}
	patched, err := apply(d.patch, pod)
	if err != nil {
		t.Fatal(err)
	}
	return patched
}
