package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// maxStrictErrors is where the decoder stops telling of unknown fields.
const maxStrictErrors = 100

// podObject is a pod of a request.
type podObject struct {
	// raw is the pod as it came; patches apply to it.
	raw []byte
	// pod is what of it this version of Kubernetes' API knows.
	pod *corev1.Pod
	// unknown are the paths of the other fields of its spec.
	unknown []string
}

func decodePod(raw []byte) (*podObject, error) {
	if len(raw) == 0 {
		return nil, errors.New("the request has no pod")
	}
	object := &podObject{raw: raw, pod: &corev1.Pod{}}
	strict, err := kjson.UnmarshalStrict(raw, object.pod)
	if err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	if object.pod.APIVersion != "v1" || object.pod.Kind != "Pod" {
		return nil, fmt.Errorf("decode pod: got kind %q of apiVersion %q", object.pod.Kind, object.pod.APIVersion)
	}
	if len(strict) >= maxStrictErrors {
		return nil, fmt.Errorf("decode pod: %d or more unknown or doubled fields, %v the first", maxStrictErrors, strict[0])
	}
	for _, err := range strict {
		var fieldErr kjson.FieldError
		if !errors.As(err, &fieldErr) || strings.HasPrefix(err.Error(), "duplicate field") {
			return nil, fmt.Errorf("decode pod: %w", err)
		}
		if path := fieldErr.FieldPath(); strings.HasPrefix(path, "spec.") {
			object.unknown = append(object.unknown, path)
		}
	}
	return object, nil
}

// unknownFields returns a violation for each field that nothing here can judge.
func (o *podObject) unknownFields() []rego.Violation {
	violations := make([]rego.Violation, len(o.unknown))
	for i, path := range o.unknown {
		violations[i] = rego.Violation{
			ID:      "pod-unknown-field",
			Field:   path,
			Message: path + " is not a field that this version of bulkhead knows",
			Remedy:  "leave it out, or have bulkhead updated to the cluster's version",
		}
	}
	return violations
}

// document is what of a pod the rules see: rego/schema/input.json names no other
// field. Two pods with equal documents get equal answers.
func (o *podObject) document() (json.RawMessage, error) {
	var document struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations,omitempty"`
		} `json:"metadata"`
		Spec json.RawMessage `json:"spec"`
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(o.raw, &document); err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	if len(document.Spec) == 0 {
		return nil, errors.New("decode pod: no spec")
	}
	return json.Marshal(document)
}
