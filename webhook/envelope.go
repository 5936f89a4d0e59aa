package webhook

import (
	"bytes"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
)

// envelope reads an AdmissionReview as API servers write it. What would only have to be
// looked at closely, such as a doubled field or a text that should be an object, makes
// it odd: it is for the decoder to say what becomes of it, which looks at every field by
// reflection, and through the objects twice just to find where they end.
type envelope struct {
	*rawjson.Reader
	body []byte
	odd  bool
}

// readReview returns nil if the review is odd. The request's objects are parts of the
// body, which must be valid JSON.
func readReview(body *rawjson.Reader, data []byte) *admissionv1.AdmissionReview {
	e := &envelope{Reader: body, body: data}
	review := &admissionv1.AdmissionReview{}
	e.object(func(name []byte) {
		switch string(name) {
		case "apiVersion":
			review.APIVersion = e.text()
		case "kind":
			review.Kind = e.text()
		case "request":
			review.Request = &admissionv1.AdmissionRequest{}
			e.request(review.Request)
		case "response":
			e.strange()
		default: // of a newer API server
			e.Skip()
		}
	})
	if e.odd {
		return nil
	}
	return review
}

func (e *envelope) request(request *admissionv1.AdmissionRequest) {
	e.object(func(name []byte) {
		switch string(name) {
		case "uid":
			request.UID = types.UID(e.text())
		case "kind":
			e.kind(&request.Kind)
		case "resource":
			e.resource(&request.Resource)
		case "subResource":
			request.SubResource = e.text()
		case "requestKind":
			request.RequestKind = &metav1.GroupVersionKind{}
			e.kind(request.RequestKind)
		case "requestResource":
			request.RequestResource = &metav1.GroupVersionResource{}
			e.resource(request.RequestResource)
		case "requestSubResource":
			request.RequestSubResource = e.text()
		case "name":
			request.Name = e.text()
		case "namespace":
			request.Namespace = e.text()
		case "operation":
			request.Operation = admissionv1.Operation(e.text())
		case "userInfo":
			e.user(request)
		case "object":
			request.Object.Raw = e.raw()
		case "oldObject":
			request.OldObject.Raw = e.raw()
		case "options":
			request.Options.Raw = e.raw()
		case "dryRun":
			request.DryRun = e.truth()
		default:
			e.Skip()
		}
	})
}

func (e *envelope) user(request *admissionv1.AdmissionRequest) {
	user := &request.UserInfo
	e.object(func(name []byte) {
		switch string(name) {
		case "username":
			user.Username = e.text()
		case "uid":
			user.UID = e.text()
		case "groups":
			user.Groups = e.texts()
		case "extra":
			e.odd = unmarshal(e.raw(), &user.Extra) != nil || e.odd
		default:
			e.Skip()
		}
	})
}

func (e *envelope) kind(kind *metav1.GroupVersionKind) {
	e.versioned(&kind.Group, &kind.Version, "kind", &kind.Kind)
}

func (e *envelope) resource(resource *metav1.GroupVersionResource) {
	e.versioned(&resource.Group, &resource.Version, "resource", &resource.Resource)
}

// versioned reads a kind or a resource, whose third member has the name.
func (e *envelope) versioned(group, version *string, third string, value *string) {
	e.object(func(name []byte) {
		switch string(name) {
		case "group":
			*group = e.text()
		case "version":
			*version = e.text()
		case third:
			*value = e.text()
		default:
			e.Skip()
		}
	})
}

// maxMembers is more than any object of an envelope has.
const maxMembers = 24

// object calls read with the name of each member, whose value read must pass over.
func (e *envelope) object(read func(name []byte)) {
	if e.Next() != '{' {
		e.strange()
		return
	}
	var names [maxMembers][]byte
	count := 0
	for first := true; e.More(first); first = false {
		name := e.Name()
		for _, before := range names[:count] {
			e.odd = e.odd || bytes.Equal(before, name)
		}
		if e.odd = e.odd || count == maxMembers; e.odd {
			e.Skip()
			continue
		}
		names[count] = name
		count++
		read(name)
	}
}

// strange passes over a value.
func (e *envelope) strange() {
	e.odd = true
	e.Skip()
}

func (e *envelope) text() string {
	if e.Next() != '"' {
		e.strange()
		return ""
	}
	return e.Text()
}

func (e *envelope) texts() []string {
	if e.Next() != '[' {
		e.strange()
		return nil
	}
	all := []string{}
	for first := true; e.More(first); first = false {
		all = append(all, e.text())
	}
	return all
}

func (e *envelope) truth() *bool {
	switch word := string(e.Raw()); word {
	case "true", "false":
		e.Skip()
		return new(word == "true")
	}
	e.strange()
	return nil
}

// raw is the value as it is written; nil for null.
func (e *envelope) raw() []byte {
	e.Next()
	start := e.Pos()
	e.Skip()
	value := e.body[start:e.Pos():e.Pos()]
	if string(value) == "null" {
		return nil
	}
	return value
}
