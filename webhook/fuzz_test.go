package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// FuzzReview: whatever comes, the handler neither panics nor allows what it should
// not. What is allowed in alice's namespace, whose tenant is enforced, is a known
// request with a pod that can be read and carries the genuine sidecar.
func FuzzReview(f *testing.F) {
	a := newTestAdmission(f)
	for _, spec := range podShapes {
		pod := podJSON(f, spec)
		f.Add(true, reviewJSON(f, newRequest(podCreate, "alice", pod, nil)))
		f.Add(false, reviewJSON(f, newRequest(podUpdate, "alice", pod, podJSON(f, podShapes["smallest"]))))
	}
	genuine := mutated(f, a, "alice", podJSON(f, podShapes["smallest"]))
	f.Add(false, reviewJSON(f, newRequest(podCreate, "alice", genuine, nil)))
	f.Add(false, reviewJSON(f, newRequest(podEphemeral, "alice", genuine, genuine)))
	f.Add(false, reviewJSON(f, newRequest(podExec, "alice", []byte(`{"container": "bulkhead-firewall"}`), nil)))
	f.Add(false, reviewJSON(f, newRequest(tenantCreate, "", []byte(`{"metadata": {"name": "a"}, "spec": {"namespaces": ["a"]}}`), nil)))
	f.Add(false, []byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}`))
	f.Add(true, []byte(`null`))

	m := NewMetrics(metrics.NewKubeRegistry())
	handlers := map[bool]http.Handler{
		true:  &reviewHandler{name: "mutate", decide: a.Mutate, metrics: m},
		false: &reviewHandler{name: "validate", decide: a.Validate, metrics: m},
	}
	f.Fuzz(func(t *testing.T, mutate bool, body []byte) {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		handlers[mutate].ServeHTTP(recorder, request)
		if recorder.Code != http.StatusOK {
			if recorder.Code < 400 || recorder.Code > 499 {
				t.Errorf("code %d: %s", recorder.Code, recorder.Body)
			}
			return
		}
		answer := &admissionv1.AdmissionReview{}
		if err := json.Unmarshal(recorder.Body.Bytes(), answer); err != nil || answer.Response == nil {
			t.Fatalf("answer %s: %v", recorder.Body, err)
		}
		if !answer.Response.Allowed {
			if answer.Response.Result == nil || answer.Response.Result.Message == "" {
				t.Errorf("a denial without a reason: %s", recorder.Body)
			}
			return
		}
		if err := checkAllowed(a, mutate, body, answer.Response); err != nil {
			t.Errorf("allowed: %v", err)
		}
	})
}

// checkAllowed returns an error if the review should not have been allowed.
func checkAllowed(a *Admission, mutate bool, body []byte, response *admissionv1.AdmissionResponse) error {
	// Decoded by another decoder than the handler's.
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(body, review); err != nil {
		return err
	}
	if review.Request == nil || !known(routeOf(review.Request)) {
		return fmt.Errorf("an unknown request")
	}
	if review.Request.Namespace != "alice" || routeOf(review.Request) != podCreate {
		return nil
	}
	if _, ok := a.exempts(review.Request); ok {
		return nil
	}
	object, err := decodePod(review.Request.Object.Raw)
	if err != nil {
		return err
	}
	if _, ok := a.exemptsPod(object.pod); ok {
		return nil
	}
	if mutate {
		raw := review.Request.Object.Raw
		if len(response.Patch) > 0 {
			var operations []operation
			if err := json.Unmarshal(response.Patch, &operations); err != nil {
				return err
			}
			if raw, err = apply(operations, raw); err != nil {
				return err
			}
		}
		if object, err = decodePod(raw); err != nil {
			return err
		}
		if object.pod.Spec.OS != nil && object.pod.Spec.OS.Name == "windows" {
			return nil // validation refuses it
		}
	}
	owner := a.tenants.(interface {
		Index() *tenants.Index
	}).Index().Owner("alice")
	sidecar, err := a.sidecars.expected(owner, object.pod)
	if err != nil {
		return err
	}
	if !sidecar.injected(object.pod) {
		return fmt.Errorf("without the genuine sidecar: %s", review.Request.Object.Raw)
	}
	return nil
}
