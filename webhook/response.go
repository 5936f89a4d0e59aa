package webhook

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// The API server cuts single warnings at 256 characters once all together have
	// more than 4096 (k8s.io/apiserver/pkg/endpoints/filters/warning.go). Other
	// webhooks warn too: keep to half.
	maxWarning  = 256
	maxWarnings = 2048
	// An audit annotation has no bound of its own; the audit event should keep one.
	maxAnnotation = 4096
	// maxMessage bounds the text of a denial, which ends up in events and statuses.
	maxMessage = 4096
)

// beforeUID is what every answer begins with.
const beforeUID = `{"kind":"` + reviewKind + `","apiVersion":"admission.k8s.io/v1","response":{"uid":`

// write answers the request with the decision.
func (d decision) write(w http.ResponseWriter, uid types.UID) error {
	afterUID, err := d.answer, error(nil)
	if afterUID == nil {
		if afterUID, err = d.encode(); err != nil {
			return err
		}
	}
	encodedUID, err := json.Marshal(uid)
	if err != nil {
		return fmt.Errorf("encode uid: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(slices.Concat([]byte(beforeUID), encodedUID, afterUID))
	return err
}

// encode is what the answer has after the uid.
func (d decision) encode() ([]byte, error) {
	response := &admissionv1.AdmissionResponse{
		Allowed:  d.allowed,
		Warnings: boundWarnings(d.warnings),
	}
	for key, value := range d.annotations {
		if response.AuditAnnotations == nil {
			response.AuditAnnotations = map[string]string{}
		}
		response.AuditAnnotations[key] = truncate(value, maxAnnotation)
	}
	if !d.allowed {
		response.Result = d.status()
	} else if len(d.patch) > 0 {
		patch, err := json.Marshal(d.patch)
		if err != nil {
			return nil, fmt.Errorf("encode patch: %w", err)
		}
		patchType := admissionv1.PatchTypeJSONPatch
		response.Patch, response.PatchType = patch, &patchType
	}
	encoded, err := json.Marshal(response)
	if err != nil {
		return nil, fmt.Errorf("encode AdmissionReview: %w", err)
	}
	rest, ok := bytes.CutPrefix(encoded, []byte(`{"uid":""`))
	if !ok {
		return nil, fmt.Errorf("encode AdmissionReview: no uid in %s", encoded)
	}
	return append(rest, '}'), nil
}

func (d decision) status() *metav1.Status {
	status := &metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    d.code,
		Reason:  metav1.StatusReasonForbidden,
		Message: truncate(d.message, maxMessage),
	}
	switch d.code {
	case http.StatusBadRequest:
		status.Reason = metav1.StatusReasonBadRequest
	case http.StatusForbidden:
	default: // the zero decision among them
		status.Code, status.Reason = http.StatusInternalServerError, metav1.StatusReasonInternalError
	}
	if status.Message == "" {
		status.Message = "denied because no decision was made"
	}
	return status
}

// boundWarnings drops what the API server would, and says so.
func boundWarnings(warnings []string) []string {
	total := 0
	var kept []string
	for i, warning := range warnings {
		warning = truncate(warning, maxWarning)
		if total += len(warning); total > maxWarnings {
			return append(kept, fmt.Sprintf("and %d more", len(warnings)-i))
		}
		kept = append(kept, warning)
	}
	return kept
}

// truncate cuts the text to at most limit bytes, at a rune's boundary.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	const ellipsis = "…"
	cut := limit - len(ellipsis)
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + ellipsis
}
