package charts

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/metrics"
	"sigs.k8s.io/yaml"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// plainNamespaces have neither labels nor limits.
type plainNamespaces struct{}

func (plainNamespaces) Labels(context.Context, string) (map[string]string, error) { return nil, nil }
func (plainNamespaces) Limits(string) ([]corev1.LimitRangeItem, error)            { return nil, nil }

// webhookServer is the webhook as a configuration of the chart makes it.
type webhookServer struct{ *httptest.Server }

func newWebhook(t testing.TB, config *configv1alpha1.BulkheadConfiguration, objects []*bulkheadv1alpha1.Tenant) *webhookServer {
	t.Helper()
	folder := t.TempDir()
	for _, tenant := range objects {
		data, err := yaml.Marshal(tenant)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, tenant.Name+".yaml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	static, err := tenants.Load(config, folder)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := rego.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	// With the feed the sidecar has a volume more.
	ca, _, err := cert.GenerateSelfSignedCertKey("bulkhead-feed", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	feed := &sidecarconfig.Feed{Address: netip.MustParseAddrPort("10.96.0.20:443"), ServerName: "bulkhead-feed.bulkhead-system.svc", CA: string(ca)}
	decisions, err := webhook.NewAdmission(config, webhook.Parts{
		Tenants: static, Namespaces: plainNamespaces{}, Engine: func() webhook.Engine { return engine },
		Feed: func() (*sidecarconfig.Feed, error) { return feed, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(webhook.NewHandler(webhook.Options{
		Admission: decisions, Metrics: webhook.NewMetrics(metrics.NewKubeRegistry()), MetricsHandler: http.NotFoundHandler(),
		MaxInFlight: 10, RequestTimeout: time.Minute,
	}))
	t.Cleanup(server.Close)
	return &webhookServer{server}
}

// review sends a request to one of the webhook's paths.
func (w *webhookServer) review(t testing.TB, path string, r request) *admissionv1.AdmissionResponse {
	t.Helper()
	kind := r.kind()
	review := admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID: "1", Operation: admissionv1.Operation(r.operation), Namespace: r.namespace, Name: "pod", SubResource: r.subresource,
			Kind:     metav1.GroupVersionKind{Group: kind.Group, Version: kind.Version, Kind: kind.Kind},
			Resource: metav1.GroupVersionResource{Version: "v1", Resource: "pods"},
			UserInfo: authenticationv1.UserInfo{Username: r.user},
			Object:   runtime.RawExtension{Object: r.object},
		},
	}
	if r.old != nil {
		review.Request.OldObject = runtime.RawExtension{Object: r.old}
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	posted, err := w.Client().Post(w.URL+path, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer posted.Body.Close()
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(posted.Body).Decode(&answer); err != nil || answer.Response == nil {
		t.Fatalf("%v in the answer %s", err, posted.Status)
	}
	return answer.Response
}

// mutate returns the pod as the webhook changes it. One that it refuses to change
// comes back as it is.
func (w *webhookServer) mutate(t testing.TB, r request) *corev1.Pod {
	t.Helper()
	data, err := json.Marshal(r.object)
	if err != nil {
		t.Fatal(err)
	}
	if response := w.review(t, webhook.MutatePath, r); len(response.Patch) > 0 {
		patch, err := jsonpatch.DecodePatch(response.Patch)
		if err != nil {
			t.Fatal(err)
		}
		if data, err = patch.Apply(data); err != nil {
			t.Fatal(err)
		}
	}
	return decodePod(t, data)
}
