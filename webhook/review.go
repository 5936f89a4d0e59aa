package webhook

import (
	"fmt"
	"mime"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
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

// write answers with the refusal.
func (f *refusal) write(w http.ResponseWriter, r *http.Request, handler string, metrics *Metrics) {
	metrics.malformed.WithLabelValues(handler).Inc()
	klog.InfoS("Request refused", "path", r.URL.Path, "remote", r.RemoteAddr, "code", f.code, "reason", f.message)
	http.Error(w, f.message, f.code)
}

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// checkHead says what is wrong with a request before its body is read.
func checkHead(w http.ResponseWriter, r *http.Request) *refusal {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "method %s is not allowed: send an AdmissionReview by POST", r.Method)
	}
	contentType := r.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, "content type %q is not application/json", contentType)
	}
	if r.ContentLength > maxBody {
		return tooLarge()
	}
	return nil
}

// decodeReview reads one AdmissionReview of admission.k8s.io/v1 with its request.
// Unknown fields pass, since a newer API server may send them; doubled ones do not.
// The request's objects may be parts of the body.
func decodeReview(body []byte) (*admissionv1.AdmissionRequest, *refusal) {
	valid, err := rawjson.New(body)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "decode AdmissionReview: %v", err)
	}
	review := readReview(valid, body)
	if review == nil {
		review = &admissionv1.AdmissionReview{}
		if err := unmarshal(body, review); err != nil {
			return nil, refuse(http.StatusBadRequest, "decode AdmissionReview: %v", err)
		}
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

func tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
}
