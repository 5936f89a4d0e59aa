package check

import (
	"fmt"
	"regexp"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// The ids of what is found without rules.
const (
	idUnknownField = "unknown-field"
	idInvalid      = "invalid-object"
)

// fields knows the fields of Kubernetes' own kinds.
type fields struct{ decoder runtime.Decoder }

func newFields() *fields {
	return &fields{json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme.Scheme, scheme.Scheme, json.SerializerOptions{Strict: true})}
}

// unknownField is how the decoder tells of one.
var unknownField = regexp.MustCompile(`^unknown field "(.*)"$`)

// wrong tells what the API server would refuse of the object's form: a field of the wrong
// type, and, as kubectl has it validate, fields that it does not know. Kinds that are not
// Kubernetes' own are not looked at.
func (f *fields) wrong(o *object) (found []webhook.Finding, decodes bool) {
	_, _, err := f.decoder.Decode(o.json, nil, nil)
	if err == nil || runtime.IsNotRegisteredError(err) {
		return nil, true
	}
	strict, ok := runtime.AsStrictDecodingError(err)
	if !ok {
		return []webhook.Finding{invalid(err)}, false
	}
	for _, err := range strict.Errors() {
		match := unknownField.FindStringSubmatch(err.Error())
		if match == nil {
			found = append(found, invalid(err))
			continue
		}
		found = append(found, webhook.Finding{Enforcement: v1alpha1.Enforce, Violation: rego.Violation{
			ID: idUnknownField, Severity: "medium", Field: printable(match[1]),
			Message: fmt.Sprintf("%s is not a field of %s %s", printable(match[1]), o.APIVersion, o.Kind),
			Remedy:  "correct its spelling or its place, or leave it out: the API server refuses or drops it",
		}})
	}
	return found, true
}
