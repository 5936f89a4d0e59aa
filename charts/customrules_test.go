package charts

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestCustomRules: rules in the values reach the webhook by a ConfigMap that it
// follows, and without them there is none.
func TestCustomRules(t *testing.T) {
	const flag = "--custom-rules=/etc/bulkhead/rules"
	for name, test := range map[string]struct {
		values string
		want   bool
	}{
		"none": {"", false},
		"one":  {"customRules: {registry.rego: \"package bulkhead.custom.registry\\n\"}", true},
	} {
		t.Run(name, func(t *testing.T) {
			all := objects(t, template(t, test.values))
			container := one[*appsv1.Deployment](t, all).Spec.Template.Spec.Containers[0]
			if got := slices.Contains(container.Args, flag); got != test.want {
				t.Errorf("flag: %t, arguments %q", got, container.Args)
			}
			mounted := slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "rules" && m.ReadOnly })
			if mounted != test.want {
				t.Errorf("mounted: %t", mounted)
			}
			found := false
			for _, object := range all {
				if configMap, ok := object.(*corev1.ConfigMap); ok && configMap.Name == "bulkhead-custom-rules" {
					found = configMap.Data["registry.rego"] == "package bulkhead.custom.registry\n"
				}
			}
			if found != test.want {
				t.Errorf("ConfigMap: %t", found)
			}
		})
	}
}
