package conformance

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mutation is what the chart has for pods, by URL, and a tenant.
const mutation = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: bulkhead-webhook}
webhooks:
  - name: mutate.bulkhead.dev
    clientConfig: {url: "https://%s:%s/mutate", caBundle: %s}
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    reinvocationPolicy: IfNeeded
    timeoutSeconds: 10
    rules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: limited}
spec: {namespaces: [limited], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}
---
apiVersion: v1
kind: Namespace
metadata: {name: limited}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits, namespace: limited}
spec:
  limits:
    - type: Container
      default: {cpu: 300m, memory: 200Mi, ephemeral-storage: 100Mi}
      defaultRequest: {cpu: 30m, memory: 20Mi, ephemeral-storage: 10Mi}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota, namespace: limited}
spec: {hard: {pods: "1", requests.cpu: "2", requests.memory: 1Gi, limits.cpu: "4", limits.memory: 2Gi}}
`

// TestSidecarUnderLimits: where a LimitRange sets defaults, a ResourceQuota wants requests and limits, and the
// ServiceAccount plugin mounts its token, a tenant's pod is let in with its sidecar as it was injected (threat L15);
// and a LimitRange that the sidecar cannot keep is named in the denial.
func TestSidecarUnderLimits(t *testing.T) {
	c, certificate := startWithWebhook(t)
	ctx, pods := t.Context(), c.Client().CoreV1().Pods("limited")
	manifests := fmt.Sprintf(mutation, address, port, base64.StdEncoding.EncodeToString(certificate))
	if _, err := c.Kubectl(ctx, "apply", "-f", place(t, c, "limits.yaml", []byte(manifests))); err != nil {
		t.Fatal(err)
	}
	create := func(name string, dryRun ...string) (*corev1.Pod, error) {
		return pods.Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.k8s.io/pause"}}},
		}, metav1.CreateOptions{DryRun: dryRun})
	}
	// All that takes part is at work: quota and service account by their controllers, the Tenant by the webhook's watch.
	err := c.Wait(ctx, "a pod with a sidecar under a quota", time.Minute, func(ctx context.Context) error {
		quota, err := c.Client().CoreV1().ResourceQuotas("limited").Get(ctx, "quota", metav1.GetOptions{})
		if err != nil || len(quota.Status.Hard) == 0 {
			return fmt.Errorf("the quota counts nothing yet: %v", err)
		}
		pod, err := create("first", metav1.DryRunAll)
		if err != nil {
			return err
		}
		if len(pod.Spec.InitContainers) == 0 {
			return fmt.Errorf("the pod has no sidecar yet")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := create("first")
	if err != nil {
		t.Fatal(err)
	}
	app := pod.Spec.Containers[0]
	if limit := app.Resources.Limits[corev1.ResourceMemory]; limit.Cmp(resource.MustParse("200Mi")) != 0 || len(app.VolumeMounts) != 1 {
		t.Errorf("neither LimitRanger nor the ServiceAccount plugin was at work: %v, %v", app.Resources, app.VolumeMounts)
	}
	if len(pod.Spec.InitContainers) != 2 {
		t.Fatalf("init containers: %v", pod.Spec.InitContainers)
	}
	for _, container := range pod.Spec.InitContainers {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			if limit, injected := container.Resources.Limits[name], app.Resources.Limits[name]; limit.IsZero() || limit.Cmp(injected) == 0 {
				t.Errorf("%s of %s is %s, the LimitRange's", name, container.Name, limit.String())
			}
		}
	}
	if _, err := create("second"); err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("a second pod, for which there is no quota: %v", err)
	}
	const lower = `{"spec":{"limits":[{"type":"Container","max":{"memory":"1Mi"}}]}}`
	if _, err := c.Kubectl(ctx, "patch", "limitrange", "limits", "-n", "limited", "--type=merge", "-p", lower); err != nil {
		t.Fatal(err)
	}
	err = c.Wait(ctx, "a denial that names the LimitRange", time.Minute, func(context.Context) error {
		if _, err := create("third", metav1.DryRunAll); err == nil || !strings.Contains(err.Error(), "namespace-limit-range") {
			return fmt.Errorf("a pod under a LimitRange that refuses the sidecar: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
