package webhook

import (
	"fmt"
	"mime"
	"net/http"
	"slices"

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
func decodeReview(body []byte) (*admissionv1.AdmissionRequest, *refusal) {
	review := &admissionv1.AdmissionReview{}
	rest, object, oldObject, err := cutObjects(body)
	if err == nil {
		err = unmarshal(rest, review)
	}
	if err != nil {
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
	if object != nil {
		review.Request.Object.Raw = object
	}
	if oldObject != nil {
		review.Request.OldObject.Raw = oldObject
	}
	return review.Request, nil
}

// cutObjects returns the review's two objects as they are written, nil where there is
// none, and the rest with empty ones in their place: the objects are most of a review,
// and would be looked through twice more just to find where they end.
func cutObjects(body []byte) (rest, object, oldObject []byte, err error) {
	review, err := rawjson.New(body)
	if err != nil {
		return nil, nil, nil, err
	}
	request := review.Member("request")
	if request == nil || request.Next() != '{' {
		return body, nil, nil, nil
	}
	copied := 0
	for first := true; request.More(first); first = false {
		name := string(request.Name())
		isObject := request.Next() == '{'
		start := request.Pos()
		request.Skip()
		if !isObject || name != "object" && name != "oldObject" {
			continue
		}
		value := slices.Clip(body[start:request.Pos()])
		rest = append(append(rest, body[copied:start]...), "{}"...)
		copied = request.Pos()
		if name == "object" {
			object = value
		} else {
			oldObject = value
		}
	}
	return append(rest, body[copied:]...), object, oldObject, nil
}

func tooLarge() *refusal {
	return refuse(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", maxBody)
}
