package webhook

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

func response(t *testing.T, d decision) *admissionv1.AdmissionResponse {
	t.Helper()
	recorder := httptest.NewRecorder()
	if err := d.write(recorder, "uid"); err != nil {
		t.Fatal(err)
	}
	if got := recorder.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	review := &admissionv1.AdmissionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), review); err != nil {
		t.Fatal(err)
	}
	if review.APIVersion != "admission.k8s.io/v1" || review.Kind != "AdmissionReview" || review.Request != nil {
		t.Errorf("review %+v", review)
	}
	if review.Response == nil || review.Response.UID != "uid" {
		t.Fatalf("response %+v", review.Response)
	}
	return review.Response
}

func TestZeroDecisionDenies(t *testing.T) {
	got := response(t, decision{})
	if got.Allowed || got.Result == nil || got.Result.Code != http.StatusInternalServerError || got.Result.Message == "" {
		t.Errorf("response %+v", got)
	}
}

func TestResponse(t *testing.T) {
	allowed := response(t, decision{allowed: true, patch: []operation{{Op: "remove", Path: "/a"}, {Op: "add", Path: "/b", Value: false}}})
	if !allowed.Allowed || *allowed.PatchType != admissionv1.PatchTypeJSONPatch ||
		string(allowed.Patch) != `[{"op":"remove","path":"/a"},{"op":"add","path":"/b","value":false}]` {
		t.Errorf("allowed: %+v %s", allowed, allowed.Patch)
	}
	if unchanged := response(t, allow()); unchanged.Patch != nil || unchanged.PatchType != nil || unchanged.Result != nil {
		t.Errorf("allowed without a patch: %+v", unchanged)
	}
	// A denial changes nothing.
	if denied := response(t, decision{code: 403, message: "m", patch: []operation{{Op: "remove", Path: "/a"}}}); denied.Patch != nil {
		t.Errorf("denied with patch %s", denied.Patch)
	}
	for code, reason := range map[int32]metav1.StatusReason{
		403: metav1.StatusReasonForbidden, 400: metav1.StatusReasonBadRequest, 500: metav1.StatusReasonInternalError,
	} {
		denied := response(t, decision{code: code, message: "m"})
		if denied.Result.Code != code || denied.Result.Reason != reason || denied.Result.Status != metav1.StatusFailure {
			t.Errorf("code %d: %+v", code, denied.Result)
		}
	}
}

func TestResponseIsBounded(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	warnings := make([]string, 100)
	for i := range warnings {
		warnings[i] = long
	}
	got := response(t, decision{message: long, warnings: warnings, annotations: map[string]string{"violations": long}})
	total := 0
	for _, warning := range got.Warnings {
		if len(warning) > maxWarning || !utf8.ValidString(warning) {
			t.Errorf("warning of %d bytes: %q", len(warning), warning)
		}
		total += len(warning)
	}
	if last := got.Warnings[len(got.Warnings)-1]; total > maxWarnings+maxWarning || last != "and 92 more" {
		t.Errorf("%d bytes of warnings, the last: %q", total, last)
	}
	if len(got.Result.Message) > maxMessage || !utf8.ValidString(got.Result.Message) {
		t.Errorf("message of %d bytes", len(got.Result.Message))
	}
	if annotation := got.AuditAnnotations["violations"]; len(annotation) > maxAnnotation {
		t.Errorf("annotation of %d bytes", len(annotation))
	}
}

func TestDenialText(t *testing.T) {
	standard := rego.Violation{ID: "pss-privileged", Message: `container "a": is privileged`, Remedy: "do not"}
	another := rego.Violation{ID: "pss-host-path", Message: "b", Remedy: "c"}
	ours := rego.Violation{ID: "fw-net-raw", Message: "d", Remedy: "e"}
	held := terms{standards: standards{enforce: v1alpha1.Standard{Level: v1alpha1.Baseline, Version: "v1.25"}}}
	for name, test := range map[string]struct {
		denied []rego.Violation
		want   string
	}{
		"of the standards": {[]rego.Violation{standard}, `violates PodSecurity "baseline:v1.25": pss-privileged: container "a": is privileged; do not`},
		"two of them": {[]rego.Violation{another, standard},
			"violates PodSecurity \"baseline:v1.25\": 2 violations:\n- pss-host-path: b; c\n- pss-privileged: container \"a\": is privileged; do not"},
		"of the firewall":     {[]rego.Violation{ours}, "fw-net-raw: d; e"},
		"two of the firewall": {[]rego.Violation{ours, ours}, "2 violations:\n- fw-net-raw: d; e\n- fw-net-raw: d; e"},
		"one of each":         {[]rego.Violation{another, ours}, "fw-net-raw: d; e\nviolates PodSecurity \"baseline:v1.25\": pss-host-path: b; c"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := held.denial(test.denied); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
