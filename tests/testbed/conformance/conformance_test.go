package conformance

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	psa "k8s.io/pod-security-admission/api"
	psatest "k8s.io/pod-security-admission/test"
)

// TestPodSecurityConformance runs the whole suite: every control, level and version, as pods, which must be refused,
// and as Deployments, which must be warned of. A first run compiles Kubernetes: give it -timeout 40m.
func TestPodSecurityConformance(t *testing.T) {
	c, _ := startWithWebhook(t)
	config := c.RESTConfig()
	config.WarningHandlerWithContext = nil // the suite has one of its own
	psatest.Run(t, psatest.Options{ClientConfig: config})
}

// startWithWebhook starts a control plane without the plugin and with Bulkhead in its place, and returns the webhook's
// certificate.
func startWithWebhook(t *testing.T) (c *cluster.Cluster, certificate []byte) {
	t.Helper()
	if reason := host.Unsupported(); reason != "" {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("-short: the test starts a control plane")
	}
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	webhook := build(t, repository)
	c, err = cluster.Start(t.Context(), cluster.Options{
		Repository:       repository,
		APIServerFlags:   []string{"--disable-admission-plugins=PodSecurity"},
		ControlPlaneOnly: true,
		Log:              progress.New(t.Output()),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	// The suite shows nothing if somebody else refuses in Bulkhead's place.
	if err := createPrivileged(t, c); err != nil {
		t.Fatalf("without Bulkhead nobody should refuse a privileged pod: %v", err)
	}
	return c, startWebhook(t, c, webhook)
}

// createPrivileged asks, as a dry run, for a pod that no labelled namespace has.
func createPrivileged(t *testing.T, c *cluster.Cluster) error {
	t.Helper()
	const namespace = "labelled"
	if _, err := c.Kubectl(t.Context(), "get", "namespace", namespace); err != nil {
		labels := map[string]string{psa.EnforceLevelLabel: string(psa.LevelBaseline)}
		if _, err := psatest.DefaultCreateNamespace(c.Client(), namespace, labels); err != nil {
			t.Fatal(err)
		}
		err := c.Wait(t.Context(), "the namespace's service account", time.Minute, func(ctx context.Context) error {
			_, err := c.Client().CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Client().CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "privileged"},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "app", Image: "registry.k8s.io/pause", SecurityContext: &corev1.SecurityContext{Privileged: new(true)},
		}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}
