package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"

	admissionv1 "k8s.io/api/admission/v1"
	kjson "sigs.k8s.io/json"
)

// maxBody bounds an AdmissionReview. An object is at most 1.5 MiB in etcd and 3 MiB
// on its way to the API server; an UPDATE carries two of them, as JSON.
const maxBody = 8 << 20

const reviewKind = "AdmissionReview"

// refusal is the HTTP answer to what is no AdmissionReview. The API server takes
// it as a failed call: failurePolicy Fail refuses the request.
type refusal struct {
	code    int
	message string
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// readReview reads one AdmissionReview of admission.k8s.io/v1 with its request.
// Unknown fields pass, since a newer API server may send them; doubled ones do not.
func readReview(w http.ResponseWriter, r *http.Request) (*admissionv1.AdmissionRequest, *refusal) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, refuse(http.StatusMethodNotAllowed, "method %s is not allowed: send an AdmissionReview by POST", r.Method)
	}
	contentType := r.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "content type %q is not application/json", contentType)
	}
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	body, err := readBody(w, r)
	var sizeErr *http.MaxBytesError
	switch {
	case errors.As(err, &sizeErr):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive in time")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "read body: %v", err)
	}
	review := &admissionv1.AdmissionReview{}
	strict, err := kjson.UnmarshalStrict(body, review, kjson.DisallowDuplicateFields)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, refuse(http.StatusBadRequest, "decode AdmissionReview: %v", err)
	}
	if review.APIVersion != admissionv1.SchemeGroupVersion.String() || review.Kind != reviewKind {
		return nil, refuse(http.StatusBadRequest, "got kind %q of apiVersion %q instead of %s of %s",
			review.Kind, review.APIVersion, reviewKind, admissionv1.SchemeGroupVersion)
	}
	if review.Request == nil {
		return nil, refuse(http.StatusBadRequest, "the AdmissionReview has no request")
	}
	if review.Request.UID == "" {
		return nil, refuse(http.StatusBadRequest, "the AdmissionReview's request has no uid")
	}
	return review.Request, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// One allocation of the right size where the client names it.
	var buffer bytes.Buffer
	if r.ContentLength > 0 {
		buffer.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := io.Copy(&buffer, http.MaxBytesReader(w, r.Body, maxBody))
	return buffer.Bytes(), err
}

func tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
}
