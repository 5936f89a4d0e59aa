package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// maxStrictErrors is where the decoder stops telling of unknown fields.
const maxStrictErrors = 100

// maxPod bounds a pod, as JSON, that the rules are asked about: their time grows with
// what they find, to seconds for a pod of a megabyte (threat A1). Annotations alone
// may have 256 KiB.
const maxPod = 512 << 10

func tooLargePod() rego.Violation {
	return rego.Violation{
		ID:      "pod-too-large",
		Message: fmt.Sprintf("the pod has more than %d KiB as JSON", maxPod>>10),
		Remedy:  "move data into ConfigMaps or Secrets, or containers into more pods",
	}
}

func tooLargeObject(kind string) rego.Violation {
	return rego.Violation{
		ID:      "object-too-large",
		Message: fmt.Sprintf("the %s has more than %d addresses, or more than %d KiB as JSON", kind, maxAddresses, maxPod>>10),
		Remedy:  "split it",
	}
}

// podObject is a pod of a request.
type podObject struct {
	// raw is the pod as it came; patches apply to it.
	raw []byte
	// pod has the spec, as far as this version of Kubernetes' API knows it, and
	// nothing else.
	pod *corev1.Pod
	// unknown are the paths of the other fields of its spec.
	unknown []string
}

// podDocument leaves undecoded what nothing here reads.
type podDocument struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        json.RawMessage `json:"metadata"`
	Spec            *corev1.PodSpec `json:"spec"`
	Status          json.RawMessage `json:"status"`
}

func decodePod(raw []byte) (*podObject, error) {
	if len(raw) == 0 {
		return nil, errors.New("the request has no pod")
	}
	var document podDocument
	strict, err := kjson.UnmarshalStrict(raw, &document)
	if err != nil {
		return nil, fmt.Errorf("decode pod: %w", err)
	}
	if document.APIVersion != "v1" || document.Kind != "Pod" {
		return nil, fmt.Errorf("decode pod: got kind %q of apiVersion %q", document.Kind, document.APIVersion)
	}
	if document.Spec == nil {
		return nil, errors.New("decode pod: spec is missing")
	}
	object := &podObject{raw: raw, pod: &corev1.Pod{Spec: *document.Spec}}
	if hasNameless(document.Spec) {
		// Not only invalid: null in a list of containers, which no patch can change,
		// decodes to one.
		return nil, errors.New("decode pod: a container has no name")
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

func hasNameless(spec *corev1.PodSpec) bool {
	nameless := func(c corev1.Container) bool { return c.Name == "" }
	return slices.ContainsFunc(spec.InitContainers, nameless) || slices.ContainsFunc(spec.Containers, nameless) ||
		slices.ContainsFunc(spec.EphemeralContainers, func(c corev1.EphemeralContainer) bool { return c.Name == "" })
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
