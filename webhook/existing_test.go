package webhook

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

// running are pods of every namespace, and what reading more ends with.
type running struct {
	pods []corev1.Pod
	err  error
}

func (r running) Each(_ context.Context, _ string, visit func(*corev1.Pod) bool) error {
	for i := range r.pods {
		if pod := r.pods[i].DeepCopy(); !visit(pod) {
			return nil
		}
	}
	return r.err
}

func runningPod(name string, change func(*corev1.PodSpec)) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "b"}}}}
	change(&pod.Spec)
	return pod
}

// TestExistingPods: who raises a namespace's level is told which pods violate it, in the
// words of Kubernetes' own plugin; and nothing is refused for them.
func TestExistingPods(t *testing.T) {
	good := func(*corev1.PodSpec) {}
	host := func(spec *corev1.PodSpec) { spec.HostNetwork, spec.HostPID = true, true }
	pods := []corev1.Pod{
		runningPod("b", host), runningPod("good", good), runningPod("a", host), runningPod("c", host),
		runningPod("kata", func(spec *corev1.PodSpec) { host(spec); spec.RuntimeClassName = new("kata") }),
		runningPod("path", func(spec *corev1.PodSpec) {
			spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
		}),
	}
	const first = `existing pods in namespace "default" violate the new PodSecurity enforce level "baseline:latest"`
	found := []string{first, "a (and 2 other pods): pss-host-namespaces", "path: pss-host-path"}
	var many []corev1.Pod
	for n := range maxExisting + 1 {
		many = append(many, runningPod(fmt.Sprintf("pod-%04d", n), host))
	}
	labels := func(text string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {" + text + "}}}"
	}
	level := func(level string) string { return labels("pod-security.kubernetes.io/enforce: " + level) }
	for name, test := range map[string]struct {
		running     running
		object, old string
		want        []string
	}{
		"raised":           {running{pods: pods}, level("baseline"), level("privileged"), found},
		"named":            {running{pods: pods}, level("baseline"), labels(""), found},
		"of a new version": {running{pods: pods}, level("baseline"), labels("pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/enforce-version: v1.20"), found},
		"lowered":          {running{pods: pods}, level("baseline"), level("restricted"), nil},
		"taken away":       {running{pods: pods}, labels(""), level("restricted"), nil},
		"the same":         {running{pods: pods}, labels("pod-security.kubernetes.io/enforce: baseline, pod-security.kubernetes.io/warn: restricted"), level("baseline"), nil},
		"good pods":        {running{pods: pods[1:2]}, level("baseline"), level("privileged"), nil},
		"a new namespace":  {running{pods: pods}, level("baseline"), "", nil},
		"cannot be read": {running{err: errBroken}, level("baseline"), level("privileged"),
			[]string{"new PodSecurity enforce level only checked against the first 0 existing pods"}},
		"cannot be read on": {running{pods: pods, err: errBroken}, level("baseline"), level("privileged"),
			slices.Concat([]string{"new PodSecurity enforce level only checked against the first 6 existing pods"}, found)},
		"too many": {running{pods: many}, level("baseline"), level("privileged"), []string{
			"new PodSecurity enforce level only checked against the first 3000 existing pods", first, "pod-0000 (and 2999 other pods): pss-host-namespaces",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmissionWithParts(t, Parts{Pods: test.running}, func(c *configv1alpha1.BulkheadConfiguration) {
				c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
				c.Unassigned = configv1alpha1.UnassignedIgnore
			})
			a.patience = time.Hour
			d := a.Validate(t.Context(), objectRequest(t, "namespaces", "default", test.object, test.old))
			if !d.allowed || !slices.Equal(d.warnings, test.want) {
				t.Errorf("allowed %t (%s), warnings\n%s\nwant\n%s", d.allowed, d.message, strings.Join(d.warnings, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
	t.Run("no time", func(t *testing.T) {
		a := newTestAdmissionWithParts(t, Parts{Pods: running{pods: pods}}, func(c *configv1alpha1.BulkheadConfiguration) {
			c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
		})
		a.patience = -1
		d := a.Validate(t.Context(), objectRequest(t, "namespaces", "default", level("restricted"), level("privileged")))
		want := []string{"new PodSecurity enforce level only checked against the first 0 existing pods"}
		if !d.allowed || !slices.Equal(d.warnings, want) {
			t.Errorf("allowed %t (%s), warnings %q", d.allowed, d.message, d.warnings)
		}
	})
}

// asking labels another namespace while its pods are looked at.
type asking struct{ meanwhile func() }

func (a asking) Each(context.Context, string, func(*corev1.Pod) bool) error {
	a.meanwhile()
	return nil
}

// TestExistingPodsOfOneAtATime: who labels namespaces without end takes no more of the
// webhook's time than one.
func TestExistingPodsOfOneAtATime(t *testing.T) {
	var a *Admission
	label := func() decision {
		const namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {pod-security.kubernetes.io/enforce: %s}}}"
		return a.Validate(t.Context(), objectRequest(t, "namespaces", "default", fmt.Sprintf(namespace, "restricted"), fmt.Sprintf(namespace, "privileged")))
	}
	var inside []decision
	a = newTestAdmissionWithParts(t, Parts{Pods: asking{func() { inside = append(inside, label()) }}}, func(c *configv1alpha1.BulkheadConfiguration) {
		c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
	})
	for range 2 {
		if d := label(); !d.allowed || len(d.warnings) > 0 {
			t.Errorf("one: %+v", d)
		}
	}
	if len(inside) != 2 {
		t.Fatalf("pods were looked at %d times, not twice", len(inside))
	}
	for _, d := range inside {
		if !d.allowed || len(d.warnings) != 1 || !strings.HasPrefix(d.warnings[0], "existing pods are not checked") {
			t.Errorf("another meanwhile: %+v", d)
		}
	}
}
