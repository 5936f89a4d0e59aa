package webhook

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

// TestNamespacesThatRefuseTheSidecar (threats L14, L15): the API server's own plugins
// would say so in words that name neither Bulkhead nor the remedy.
func TestNamespacesThatRefuseTheSidecar(t *testing.T) {
	list := func(name corev1.ResourceName, quantity string) corev1.ResourceList {
		return corev1.ResourceList{name: resource.MustParse(quantity)}
	}
	limits := func(item corev1.LimitRangeItem) testNamespace {
		if item.Type == "" {
			item.Type = corev1.LimitTypeContainer
		}
		return testNamespace{limits: []corev1.LimitRangeItem{item}}
	}
	labels := func(level string) testNamespace { return testNamespace{labels: map[string]string{enforceLabel: level}} }
	for name, test := range map[string]struct {
		namespace testNamespace
		honour    bool
		denied    string
		warned    string
	}{
		"nothing":                  {testNamespace{}, false, "", ""},
		"wide limits":              {limits(corev1.LimitRangeItem{Min: list("cpu", "1m"), Max: list("memory", "1Gi"), MaxLimitRequestRatio: list("cpu", "100")}), false, "", ""},
		"defaults":                 {limits(corev1.LimitRangeItem{Default: list("cpu", "1m"), DefaultRequest: list("cpu", "1m")}), false, "", ""},
		"of another type":          {limits(corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: list("cpu", "1m")}), false, "", ""},
		"a minimum":                {limits(corev1.LimitRangeItem{Min: list("cpu", "100m")}), false, "request 10m is less than the minimum 100m of cpu; have an administrator change the LimitRange", ""},
		"a maximum":                {limits(corev1.LimitRangeItem{Max: list("memory", "32Mi")}), false, "limit 64Mi is more than the maximum 32Mi of memory", ""},
		"a ratio":                  {limits(corev1.LimitRangeItem{MaxLimitRequestRatio: list("cpu", "10")}), false, "limit 1 is more than 10 times the request 10m of cpu", ""},
		"label baseline":           {labels("baseline"), false, "", "namespace alice has the label pod-security.kubernetes.io/enforce=baseline"},
		"label restricted":         {labels("restricted"), false, "", "set the label to privileged"},
		"label privileged":         {labels("privileged"), false, "", ""},
		"label that is Bulkhead's": {labels("baseline"), true, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmission(t, func(c *configv1alpha1.BulkheadConfiguration) {
				if test.honour {
					c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
				}
			})
			a.namespaces = testNamespaces{"alice": test.namespace}
			d := a.Mutate(t.Context(), newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil))
			if d.allowed != (test.denied == "") || !strings.Contains(d.message, test.denied) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if got := strings.Join(d.warnings, "\n"); !strings.Contains(got, test.warned) || (test.warned == "") != (got == "") {
				t.Errorf("warnings %q", got)
			}
			if d.allowed && len(d.patch) == 0 {
				t.Error("not injected")
			}
		})
	}
	t.Run("not known", func(t *testing.T) {
		a := newTestAdmission(t)
		a.namespaces = testNamespaces{"alice": {err: errors.New("no such namespace")}}
		if d := a.Mutate(t.Context(), newRequest(podCreate, "alice", podJSON(t, podShapes["smallest"]), nil)); d.allowed {
			t.Error("allowed")
		}
	})
}
