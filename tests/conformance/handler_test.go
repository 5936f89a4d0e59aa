package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics"
	psa "k8s.io/pod-security-admission/api"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// config makes Bulkhead what Kubernetes' own plugin is: the labels of namespaces decide,
// and nobody is a tenant.
const config = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
unassigned: ignore
podSecurity: {namespaceLabels: honour}
workloadTemplates: warn
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

// labelled are namespaces whose name is <level>--<version>, and have these labels.
type labelled struct{}

func (labelled) Labels(_ context.Context, namespace string) (map[string]string, error) {
	level, version, _ := strings.Cut(namespace, "--")
	return map[string]string{
		psa.EnforceLevelLabel:   level,
		psa.EnforceVersionLabel: version,
		psa.WarnLevelLabel:      level,
		psa.WarnVersionLabel:    version,
		psa.AuditLevelLabel:     level,
		psa.AuditVersionLabel:   version,
	}, nil
}

func (labelled) Limits(string) ([]corev1.LimitRangeItem, error) { return nil, nil }

// newHandler decides by the engine; the registry has its metrics. Tenants are in YAML.
func newHandler(t *testing.T, config, owners string, engine webhook.Engine, remember int) (http.Handler, metrics.KubeRegistry) {
	t.Helper()
	parsed, err := configv1alpha1.Parse([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "tenants.yaml"), []byte(owners), 0o600); err != nil {
		t.Fatal(err)
	}
	static, err := tenants.Load(parsed, folder)
	if err != nil {
		t.Fatal(err)
	}
	admission, err := webhook.NewAdmission(parsed, webhook.Parts{
		Tenants: static, Namespaces: labelled{}, Engine: func() webhook.Engine { return engine }, Remember: remember,
	})
	if err != nil {
		t.Fatal(err)
	}
	registry := metrics.NewKubeRegistry()
	return webhook.NewHandler(webhook.Options{
		Admission:      admission,
		Metrics:        webhook.NewMetrics(registry),
		MetricsHandler: http.NotFoundHandler(),
		MaxInFlight:    10,
		RequestTimeout: time.Minute,
	}), registry
}

// review asks the handler whether the object may be created in the namespace.
func review(t *testing.T, handler http.Handler, kind metav1.GroupVersionKind, resource, namespace string, object any) *admissionv1.AdmissionResponse {
	t.Helper()
	return post(t, handler, webhook.ValidatePath, kind, resource, namespace, object)
}

// post sends a review of the creation of the object to one of the webhook's paths.
func post(t *testing.T, handler http.Handler, path string, kind metav1.GroupVersionKind, resource, namespace string, object any) *admissionv1.AdmissionResponse {
	t.Helper()
	raw, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request: &admissionv1.AdmissionRequest{
			UID:       "00000000-0000-0000-0000-000000000000",
			Kind:      kind,
			Resource:  metav1.GroupVersionResource{Group: kind.Group, Version: kind.Version, Resource: resource},
			Operation: admissionv1.Create,
			Namespace: namespace,
			UserInfo:  authenticationv1.UserInfo{Username: "mallory"},
			Object:    runtime.RawExtension{Raw: raw},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("code %d, %v: %s", recorder.Code, err, recorder.Body)
	}
	return answer.Response
}

// texts are what PSA's suite wants to read in a refusal, where it is not the reason.
var texts = map[string]string{
	"allowPrivilegeEscalation != false": "allowPrivilegeEscalation",
	"forbidden sysctls":                 "forbidden sysctl",
	"hostPath volumes":                  "hostPath",
	"non-default capabilities":          "capabilities",
	"runAsNonRoot != true":              "runAsNonRoot",
	"runAsUser=0":                       "runAsUser",
}

// TestHandler plays PSA's fixtures through the webhook's handler: as pods, which are
// refused with the words that its suite wants to read, and as a Deployment's template,
// of which the answer warns in the same words.
func TestHandler(t *testing.T) {
	d := newDeciders(t)
	handler, _ := newHandler(t, config, "", d.engine, 0)
	for _, f := range fixtures(t) {
		namespace := f.level.Name + "--" + f.level.Version
		_, answers := d.disagreement(t, question{f.pod, [3]rego.Level{f.level, f.level, f.level}})

		pod := review(t, handler, metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}, "pods", namespace, f.pod)
		if pod.Allowed == f.fails {
			t.Errorf("%s: pod allowed: %v (%v)", f.name, pod.Allowed, pod.Result)
			continue
		}
		workload := review(t, handler, metav1.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments", namespace, map[string]any{
			"apiVersion": "apps/v1",
			"kind":       "Deployment",
			"metadata":   map[string]any{"name": "generated"},
			"spec":       map[string]any{"template": map[string]any{"metadata": f.pod["metadata"], "spec": f.pod["spec"]}},
		})
		if !workload.Allowed {
			t.Errorf("%s: workload refused: %v", f.name, workload.Result)
		}
		if !f.fails {
			if len(pod.Warnings)+len(workload.Warnings) > 0 {
				t.Errorf("%s: warnings of nothing: %q, %q", f.name, pod.Warnings, workload.Warnings)
			}
			continue
		}
		for _, reason := range answers[0] {
			text := reason
			if other, ok := texts[reason]; ok {
				text = other
			}
			if !strings.Contains(pod.Result.Message, text) {
				t.Errorf("%s: %q is not in the refusal: %s", f.name, text, pod.Result.Message)
			}
			if !strings.Contains(strings.Join(workload.Warnings, "\n"), text) {
				t.Errorf("%s: %q is not in the warnings of the workload: %q", f.name, text, workload.Warnings)
			}
		}
	}
}
