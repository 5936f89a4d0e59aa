package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/component-base/metrics"
	kjson "sigs.k8s.io/json"

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
	for resource := range workloads {
		f.Add(false, reviewJSON(f, workloadRequest(f, resource, "alice", workloadJSON(f, resource, podFlow), nil)))
	}
	for resource, object := range fuzzedObjects {
		f.Add(false, reviewJSON(f, workloadRequest(f, resource, "alice", []byte(object), []byte(object))))
	}
	f.Add(false, []byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}`))
	f.Add(true, []byte(`null`))

	m := NewMetrics(metrics.NewKubeRegistry())
	var last decision
	watched := func(decide decideFunc) decideFunc {
		return func(ctx context.Context, request *admissionv1.AdmissionRequest) decision {
			last = decide(ctx, request)
			return last
		}
	}
	log := NewDecisionLog(io.Discard)
	handlers := map[bool]http.Handler{
		true:  &reviewHandler{"mutate", watched(a.Mutate), m, log, &events{}},
		false: &reviewHandler{"validate", watched(a.Validate), m, log, &events{}},
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
		if answer.Response.Allowed && last.outcome != outcomeAllowed && last.outcome != outcomeExempt {
			t.Errorf("allowed with outcome %q: %s", last.outcome, last.message)
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

// FuzzReadReview holds what is decoded against a decoder that takes all as it comes.
func FuzzReadReview(f *testing.F) {
	pod := podJSON(f, podShapes["smallest"])
	f.Add(reviewJSON(f, newRequest(podCreate, "alice", pod, nil)))
	f.Add(reviewJSON(f, newRequest(podUpdate, "alice", pod, pod)))
	const head = `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": `
	for _, request := range []string{
		`{"uid": "1", "oldObject": {"a": "}"}, "object" : {"b": ["\""]} , "name": "n"}}`,
		`{"uid": "1", "object": {}, "object": {"a": 1}}}`,
		`{"uid": "1", "object": {}, "\u006fbject": {"a": 1}}}`,
		`{"uid": "1", "\u006fbject": {"a": 1}, "Object": {"b": 1}}}`,
		`{"uid": "1", "object": null, "oldObject": [1]}}`,
		`{"uid": "1", "object": "{}", "options": {"object": {"a": 1}}}}`,
		`{"uid": "1"}, "request": {"uid": "2"}}`,
		`null}`, `[{"object": {}}]}`, `{"uid": "1", "object": {"a": 1, "a": 2}}, "response": {"uid": "2"}}`,
		"{\"uid\": \"\xff\", \"object\": {\"a\": \"\xff\"}}}",
		`{"uid": "1", "name": "a", "name": "a"}}`, `{"uid": "1", "UID": 2, "other": [1], "other": 3, "name": null}}`, `{"uid": 1}}`, `{"uid": "1"}, "kind": "Pod"}`,
		`{"uid": "\u0031", "userInfo": {"username": "u", "uid": "2", "groups": ["a", "\n"], "extra": {"k": ["v"], "l": []}, "more": {}}}}`,
		`{"uid": "1", "userInfo": {"groups": [], "extra": {"k": ["v"], "k": ["w"]}}}}`, `{"uid": "1", "userInfo": {"groups": [null], "extra": null}}}`,
		`{"uid": "1", "userInfo": {"extra": {"k": "v"}}}}`, `{"uid": "1", "userInfo": null, "options": null, "dryRun": null}}`,
		`{"uid": "1", "kind": {"group": "g", "version": "v", "kind": "k", "x": 1}, "requestKind": {}, "requestSubResource": "s", "subResource": "t"}}`,
		`{"uid": "1", "resource": {"group": "g", "version": "v", "resource": "r"}, "requestResource": {"group": "h", "group": "h"}, "operation": "CREATE"}}`,
		`{"uid": "1", "dryRun": true, "options": {"kind" : "CreateOptions"} , "namespace": "n"}} `, `{"uid": "1", "dryRun": "true"}}`, `{"uid": "1", "dryRun": false, "options": 5}}`,
		`{"uid": "1", "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1, "j": 1, "k": 1, "l": 1, "m": 1, "n": 1, "o": 1, "p": 1, "q": 1, "r": 1, "s": 1, "t": 1, "u": 1, "v": 1, "w": 1, "x": 1, "name": "y"}}`,
	} {
		f.Add([]byte(head + request))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var review admissionv1.AdmissionReview
		err := unmarshal(body, &review)
		got, refusal := decodeReview(body)
		if err != nil {
			if refusal == nil {
				t.Errorf("taken though %v: %s", err, body)
			}
			return
		}
		if refusal == nil && !reflect.DeepEqual(got, review.Request) {
			t.Errorf("got %+v, want %+v", got, review.Request)
		}
		known := review.APIVersion == "admission.k8s.io/v1" && review.Kind == reviewKind && review.Request != nil && review.Request.UID != ""
		if known && refusal != nil {
			t.Errorf("refused: %s: %s", refusal.message, body)
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

// fuzzedObjects are objects of the kinds that are not pods, by resource.
var fuzzedObjects = map[string]string{
	"services":          `{"apiVersion": "v1", "kind": "Service", "spec": {"externalIPs": ["10.0.0.1"]}}`,
	"endpoints":         `{"apiVersion": "v1", "kind": "Endpoints", "subsets": [{"addresses": [{"ip": "172.16.1.1"}, {"ip": "172.16.2.1"}]}]}`,
	"endpointslices":    `{"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": [{"addresses": ["172.16.2.1"]}]}`,
	"persistentvolumes": `{"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"hostPath": {"path": "/"}, "claimRef": {"namespace": "alice"}}}`,
	"namespaces":        `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "alice", "labels": {"pod-security.kubernetes.io/enforce": "x"}}}`,
}

// FuzzDecodeReview: what decodes is a review of ours with a request and its uid, for
// other decoders too.
func FuzzDecodeReview(f *testing.F) {
	f.Add(reviewJSON(f, newRequest(podCreate, "alice", podJSON(f, podShapes["smallest"]), nil)))
	f.Add([]byte(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1", "UID": "2"}}`))
	f.Add([]byte(`{"request": {"uid": ""}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		request, refusal := decodeReview(body)
		if (request == nil) == (refusal == nil) {
			t.Fatalf("request %v, refusal %v", request, refusal)
		}
		if refusal != nil {
			if refusal.code != http.StatusBadRequest || refusal.message == "" {
				t.Errorf("refusal %+v", refusal)
			}
			return
		}
		var other struct {
			Request map[string]any `json:"request"`
		}
		if err := json.Unmarshal(body, &other); err != nil || request.UID == "" {
			t.Errorf("uid %q, another decoder: %v", request.UID, err)
		}
	})
}

// FuzzPatch: the patch of any pod that is not refused applies, leaves a pod that the
// API's types can hold and that carries the sidecar, and is done with after it.
func FuzzPatch(f *testing.F) {
	a := newTestAdmission(f)
	for _, spec := range podShapes {
		f.Add(podJSON(f, spec))
	}
	f.Add([]byte(`{"apiVersion": "v1", "kind": "Pod", "spec": {"volumes": [{"name": "bulkhead-token"}], "initContainers": [null], "containers": [{}]}}`))
	f.Fuzz(func(t *testing.T, pod []byte) {
		d := a.Mutate(t.Context(), newRequest(podCreate, "alice", pod, nil))
		if !d.allowed || d.outcome == outcomeExempt {
			return
		}
		patched, err := apply(d.patch, pod)
		if err != nil {
			t.Fatalf("the patch does not apply: %v", err)
		}
		if err := json.Unmarshal(patched, &corev1.Pod{}); err != nil {
			t.Errorf("the patched pod cannot be decoded: %v: %s", err, patched)
		}
		if again := a.Mutate(t.Context(), newRequest(podCreate, "alice", patched, nil)); !again.allowed || len(again.patch) > 0 {
			t.Errorf("a second time: allowed %t (%s), %d operations", again.allowed, again.message, len(again.patch))
		}
	})
}

// FuzzObjects: of the kinds that are not pods, whatever can be decoded and names an
// address of another tenant, or a folder of the node, is denied; an error never
// allows.
func FuzzObjects(f *testing.F) {
	a := newTestAdmission(f)
	resources := slices.Sorted(maps.Keys(fuzzedObjects))
	for i, resource := range resources {
		f.Add(uint8(i), []byte(fuzzedObjects[resource]))
	}
	f.Add(uint8(1), []byte(`{"subsets": [{"notReadyAddresses": [{"ip": "::ffff:172.16.2.1"}]}]}`))
	foreign := netip.MustParsePrefix("172.16.2.0/24")
	f.Fuzz(func(t *testing.T, which uint8, object []byte) {
		resource := resources[int(which)%len(resources)]
		d := a.Validate(t.Context(), workloadRequest(t, resource, "alice", object, nil))
		if d.allowed && d.outcome != outcomeAllowed && d.outcome != outcomeExempt {
			t.Errorf("allowed with outcome %q", d.outcome)
		}
		if !d.allowed {
			return
		}
		for _, address := range addressesIn(resource, object) {
			if ip, err := netip.ParseAddr(address); err == nil && foreign.Contains(ip.Unmap()) {
				t.Errorf("%s of another tenant is allowed in %s", address, object)
			}
		}
		var volume corev1.PersistentVolume
		if resource == "persistentvolumes" && kjson.UnmarshalCaseSensitivePreserveInts(object, &volume) == nil &&
			volume.Spec.HostPath != nil && volume.Spec.ClaimRef != nil && volume.Spec.ClaimRef.Namespace == "alice" {
			t.Errorf("a hostPath is allowed: %s", object)
		}
	})
}

// addressesIn are the addresses as the API's types read them: names of fields are
// case-sensitive there, and here nothing is found where they are not exact.
func addressesIn(resource string, object []byte) []string {
	var all []string
	switch resource {
	case "endpoints":
		//lint:ignore SA1019 the API server still serves and stores them
		var endpoints corev1.Endpoints
		if kjson.UnmarshalCaseSensitivePreserveInts(object, &endpoints) != nil {
			return nil
		}
		for _, subset := range endpoints.Subsets {
			for _, address := range append(subset.Addresses, subset.NotReadyAddresses...) {
				all = append(all, address.IP)
			}
		}
	case "endpointslices":
		var slice discoveryv1.EndpointSlice
		if kjson.UnmarshalCaseSensitivePreserveInts(object, &slice) != nil {
			return nil
		}
		for _, endpoint := range slice.Endpoints {
			all = append(all, endpoint.Addresses...)
		}
	}
	return all
}
