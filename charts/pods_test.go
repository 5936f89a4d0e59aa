package charts

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// TestPodsAreRestricted: Bulkhead's own pods meet the level restricted of the Pod
// Security Standards by its own rules.
func TestPodsAreRestricted(t *testing.T) {
	engine, err := rego.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	all := objects(t, template(t, ""))
	template := one[*appsv1.Deployment](t, all).Spec.Template
	for name, pod := range map[string]*corev1.Pod{
		"webhook":  {ObjectMeta: template.ObjectMeta, Spec: template.Spec},
		"selftest": one[*corev1.Pod](t, all),
	} {
		t.Run(name, func(t *testing.T) {
			encoded, err := json.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}
			result, err := engine.Evaluate(t.Context(), rego.Input{
				Request: rego.Request{Operation: rego.Create, Resource: "pods", Namespace: releaseNamespace},
				Object:  encoded,
				Enforce: rego.Level{Name: rego.Restricted, Version: rego.Latest},
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, violation := range result.Violations {
				t.Error(violation)
			}
			for _, container := range pod.Spec.Containers {
				if security := container.SecurityContext; security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem {
					t.Errorf("container %s can write its root", container.Name)
				}
				if container.Resources.Requests.Cpu().IsZero() || container.Resources.Limits.Memory().IsZero() {
					t.Errorf("container %s has no CPU request or memory limit", container.Name)
				}
			}
		})
	}
}
