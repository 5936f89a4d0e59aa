package namespaces

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/webhook/manifests"
)

// Static answers from manifests. A namespace that is not among them has no labels and
// no limits.
type Static struct {
	labels map[string]map[string]string
	limits map[string][]corev1.LimitRangeItem
}

// Load reads Namespaces and LimitRanges from the folder; other kinds may be among them
// and are left.
func Load(folder string) (*Static, error) {
	s := NewStatic()
	if err := manifests.Walk(folder, s.Add); err != nil {
		return nil, fmt.Errorf("load manifests: %w", err)
	}
	return s, nil
}

// NewStatic knows of nothing before Add.
func NewStatic() *Static {
	return &Static{map[string]map[string]string{}, map[string][]corev1.LimitRangeItem{}}
}

// Add takes a Namespace or a LimitRange, and leaves what is neither.
func (s *Static) Add(object manifests.Object) error {
	if object.APIVersion != corev1.SchemeGroupVersion.String() {
		return nil
	}
	switch object.Kind {
	case "Namespace":
		namespace := &corev1.Namespace{}
		if err := json.Unmarshal(object.JSON, namespace); err != nil {
			return fmt.Errorf("namespace: %w", err)
		}
		s.labels[namespace.Name] = podSecurity(namespace.Labels)
	case "LimitRange":
		limits := &corev1.LimitRange{}
		if err := json.Unmarshal(object.JSON, limits); err != nil {
			return fmt.Errorf("limit range: %w", err)
		}
		s.limits[limits.Namespace] = append(s.limits[limits.Namespace], limits.Spec.Limits...)
	}
	return nil
}

// Labels returns the namespace's Pod Security labels.
func (s *Static) Labels(_ context.Context, namespace string) (map[string]string, error) {
	return s.labels[namespace], nil
}

// Limits returns the limits of the namespace's LimitRanges.
func (s *Static) Limits(namespace string) ([]corev1.LimitRangeItem, error) {
	return s.limits[namespace], nil
}
