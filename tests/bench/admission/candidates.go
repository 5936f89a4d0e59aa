package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/component-base/metrics"
	"k8s.io/pod-security-admission/admission"
	psaload "k8s.io/pod-security-admission/admission/api/load"
	psa "k8s.io/pod-security-admission/api"
	psametrics "k8s.io/pod-security-admission/metrics"
	"k8s.io/pod-security-admission/policy"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// As for PSA, one level is enforced and nothing else is asked.
const bulkheadConfig = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
podSecurity: {warn: privileged, audit: privileged}
cluster:
  podCIDRs: [10.244.0.0/16]
  serviceCIDRs: [10.96.0.0/16]
  nodeCIDRs: [192.168.0.0/24]
  tenantCIDRs: [172.16.0.0/16, "fd00:1::/48"]
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

const bulkheadTenants = `
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: baseline}
spec:
  namespaces: [baseline]
  addressing: {mode: cidr, cidrs: [172.16.1.0/24, "fd00:1:0:1::/64"]}
  podSecurity: {enforce: baseline}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: restricted}
spec:
  namespaces: [restricted]
  addressing: {mode: cidr, cidrs: [172.16.2.0/24, "fd00:1:0:2::/64"]}
  podSecurity: {enforce: restricted}
`

// bulkhead is the webhook's handler, with all that the API server's requests pass.
type bulkhead struct {
	handler         http.Handler
	config, tenants string // file and folder
}

func newBulkhead(ctx context.Context, dir string) (*bulkhead, error) {
	b := &bulkhead{config: filepath.Join(dir, "config.yaml"), tenants: filepath.Join(dir, "tenants")}
	if err := os.Mkdir(b.tenants, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.config, []byte(bulkheadConfig), 0o600); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(b.tenants, "tenants.yaml"), []byte(bulkheadTenants), 0o600); err != nil {
		return nil, err
	}
	var err error
	if b.handler, err = b.newHandler(ctx, webhook.RememberedBytes); err != nil {
		return nil, err
	}
	return b, nil
}

// newHandler remembers decisions within that many bytes.
func (b *bulkhead) newHandler(ctx context.Context, remember int) (http.Handler, error) {
	config, err := configv1alpha1.Load(b.config)
	if err != nil {
		return nil, err
	}
	owners, err := tenants.Load(config, b.tenants)
	if err != nil {
		return nil, err
	}
	engine, err := rego.New(ctx, nil)
	if err != nil {
		return nil, err
	}
	decides, err := webhook.NewAdmission(config, webhook.Parts{Tenants: owners, Namespaces: namespaces{}, Engine: func() webhook.Engine { return engine }, Remember: remember})
	if err != nil {
		return nil, err
	}
	return webhook.NewHandler(webhook.Options{
		Admission:      decides,
		Metrics:        webhook.NewMetrics(metrics.NewKubeRegistry()),
		MetricsHandler: http.NotFoundHandler(),
		MaxInFlight:    100,
		RequestTimeout: 10 * time.Second,
	}), nil
}

// ask returns the webhook's answer to a review.
func (b *bulkhead) ask(path string, body []byte) (*admissionv1.AdmissionResponse, error) {
	return ask(b.handler, path, body)
}

func ask(handler http.Handler, path string, body []byte) (*admissionv1.AdmissionResponse, error) {
	a := newAnswer()
	handler.ServeHTTP(a, newRequest(path, body))
	var review admissionv1.AdmissionReview
	if err := json.Unmarshal(a.body.Bytes(), &review); err != nil || review.Response == nil {
		return nil, fmt.Errorf("code %d, %v: %s", a.code, err, &a.body)
	}
	if result := review.Response.Result; result != nil && result.Code != 0 && result.Code != http.StatusForbidden {
		return nil, fmt.Errorf("status %d: %s", result.Code, result.Message)
	}
	return review.Response, nil
}

func newRequest(path string, body []byte) *http.Request {
	request, err := http.NewRequest(http.MethodPost, "https://webhook.example"+path+"?timeout=10s", bytes.NewReader(body))
	if err != nil {
		panic(err) // the path is one of ours
	}
	request.Header.Set("Content-Type", "application/json")
	request.RemoteAddr = "127.0.0.1:40000"
	return request
}

// namespaces are one for each level, of the level's name.
type namespaces struct{}

func (namespaces) Labels(context.Context, string) (map[string]string, error) { return nil, nil }
func (namespaces) Limits(string) ([]corev1.LimitRangeItem, error)            { return nil, nil }
func (namespaces) GetNamespace(_ context.Context, name string) (*corev1.Namespace, error) {
	for _, level := range levels {
		if name == level {
			return namespace(level), nil
		}
	}
	return nil, apierrors.NewNotFound(corev1.Resource("namespaces"), name)
}

// namespace is held to the level by PSA.
func namespace(level string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: level, Labels: map[string]string{psa.EnforceLevelLabel: level}},
	}
}

// podSecurity is the handler of PSA's own webhook (HandleValidate of
// k8s.io/pod-security-admission/cmd/webhook/server, which cannot be had without a
// server): the same decoder, Admission and encoder.
type podSecurity struct {
	decoder   runtime.Decoder
	admission *admission.Admission
}

func newPodSecurity() (*podSecurity, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, admissionv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	config, err := psaload.LoadFromData(nil)
	if err != nil {
		return nil, err
	}
	recorder := psametrics.NewPrometheusRecorder(psa.GetAPIVersion())
	recorder.MustRegister(metrics.NewKubeRegistry().MustRegister)
	decides := &admission.Admission{
		Configuration:    config,
		Evaluator:        evaluator,
		Metrics:          recorder,
		PodSpecExtractor: admission.DefaultPodSpecExtractor{},
		NamespaceGetter:  namespaces{},
		PodLister:        noPods{},
	}
	if err := decides.CompleteConfiguration(); err != nil {
		return nil, err
	}
	if err := decides.ValidateConfiguration(); err != nil {
		return nil, err
	}
	return &podSecurity{serializer.NewCodecFactory(scheme).UniversalDeserializer(), decides}, nil
}

// noPods: they are asked for when a namespace changes only.
type noPods struct{}

func (noPods) ListPods(context.Context, string) ([]*corev1.Pod, error) { return nil, nil }

func (p *podSecurity) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 3<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	kind := admissionv1.SchemeGroupVersion.WithKind("AdmissionReview")
	decoded, _, err := p.decoder.Decode(body, &kind, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review := decoded.(*admissionv1.AdmissionReview)
	response := p.admission.Validate(r.Context(), psa.RequestAttributes(review.Request, p.decoder))
	response.UID = review.Request.UID
	review.Response = response
	if err := json.NewEncoder(w).Encode(review); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}
