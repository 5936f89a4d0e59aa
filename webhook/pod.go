package webhook

import (
	"bytes"
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

// sameToRules tells whether two pods are the same in all that rules look at, which
// is the annotations and the spec (rego/schema/input.json). Equal bytes are enough:
// the API server encodes both pods.
func sameToRules(a, b *podObject) (bool, error) {
	type seen struct {
		Metadata struct {
			Annotations json.RawMessage `json:"annotations"`
		} `json:"metadata"`
		Spec json.RawMessage `json:"spec"`
	}
	var one, other seen
	if err := kjson.UnmarshalCaseSensitivePreserveInts(a.raw, &one); err != nil {
		return false, fmt.Errorf("decode pod: %w", err)
	}
	if err := kjson.UnmarshalCaseSensitivePreserveInts(b.raw, &other); err != nil {
		return false, fmt.Errorf("decode pod: %w", err)
	}
	return len(one.Spec) > 0 && bytes.Equal(one.Spec, other.Spec) &&
		bytes.Equal(one.Metadata.Annotations, other.Metadata.Annotations), nil
}
