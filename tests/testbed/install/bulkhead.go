package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Namespace is where Bulkhead is installed.
const Namespace = "bulkhead-system"

const (
	release  = "bulkhead"
	registry = "registry.local/bulkhead/"
	tag      = "dev"
)

// Tenant is one tenant: with addressing cidr if it has ranges, else identity.
type Tenant struct {
	Name       string
	Namespaces []string
	CIDRs      []string
	Shared     []string
	Public     []string
}

func (t Tenant) spec() map[string]any {
	spec := map[string]any{"namespaces": t.Namespaces}
	if len(t.CIDRs) > 0 {
		spec["addressing"] = map[string]any{"mode": "cidr", "cidrs": t.CIDRs}
	}
	for field, values := range map[string][]string{"shared": t.Shared, "public": t.Public} {
		if len(values) > 0 {
			spec[field] = values
		}
	}
	return spec
}

// Archive is an image of Bulkhead's that `make image` writes, in the repository.
func Archive(repository, name string) string {
	return filepath.Join(repository, "out", "images", name+".tar")
}

// CLI is `bulkhead`, as `make build` writes it.
func CLI(repository string) string { return filepath.Join(repository, "out", "bin", "bulkhead") }

// CheckBuilt fails if Bulkhead has not been built, before minutes are spent on anything else.
func CheckBuilt(repository string) error {
	for _, file := range []string{Archive(repository, "webhook"), Archive(repository, "firewall"), Archive(repository, "probe"), CLI(repository)} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("a part of bulkhead is missing; run \"make image build\" first: %w", err)
		}
	}
	return nil
}

// Bulkhead installs Bulkhead by its chart with tenants, waits until it refuses what it must refuse,
// and runs the chart's own test.
// tenantCIDRs is the range of all tenants with addressing cidr together; without it nothing is said of addresses, and
// Bulkhead finds the cluster's ranges itself. DNS and cert-manager must be there.
func Bulkhead(ctx context.Context, c *cluster.Cluster, tenantCIDRs []string, tenants ...Tenant) error {
	repository := c.Options().Repository
	for _, name := range []string{"webhook", "firewall"} {
		if err := c.LoadImage(ctx, Archive(repository, name)); err != nil {
			return err
		}
	}
	values, err := writeValues(bulkheadValues(c.Network(), tenantCIDRs, tenants))
	if err != nil {
		return err
	}
	defer os.Remove(values)
	_, err = c.Helm(ctx, "install", release, filepath.Join(repository, "charts", "bulkhead"),
		"--namespace", Namespace, "--create-namespace", "--values", values, "--wait", "--timeout", "2m")
	if err != nil {
		return errors.Join(err, podStates(ctx, c))
	}
	for _, tenant := range tenants {
		for _, namespace := range tenant.Namespaces {
			if err := waitUntilLive(ctx, c, namespace); err != nil {
				return err
			}
		}
	}
	_, err = c.Helm(ctx, "test", release, "--namespace", Namespace, "--timeout", "1m")
	return err
}

// UninstallBulkhead takes Bulkhead out of the cluster again.
func UninstallBulkhead(ctx context.Context, c *cluster.Cluster) error {
	_, err := c.Helm(ctx, "uninstall", release, "--namespace", Namespace, "--wait", "--timeout", "2m")
	return err
}

// bulkheadValues are the chart's values for the cluster and the images of this repository.
func bulkheadValues(network cluster.Network, tenantCIDRs []string, tenants []Tenant) map[string]any {
	image := func(name string) map[string]any {
		return map[string]any{"repository": registry + name, "tag": tag}
	}
	var rendered []any
	for _, tenant := range tenants {
		rendered = append(rendered, map[string]any{"name": tenant.Name, "spec": tenant.spec()})
	}
	values := map[string]any{
		"image":   image("webhook"),
		"sidecar": map[string]any{"image": image("firewall")},
		"tenants": rendered,
	}
	if len(tenantCIDRs) > 0 {
		values["config"] = map[string]any{"cluster": map[string]any{
			"podCIDRs":     slices.Concat(network.PodCIDRs, tenantCIDRs),
			"serviceCIDRs": network.ServiceCIDRs,
			"nodeCIDRs":    network.NodeCIDRs,
			"tenantCIDRs":  tenantCIDRs,
		}}
	}
	return values
}

func writeValues(values map[string]any) (string, error) {
	content, err := yaml.Marshal(values)
	if err != nil {
		return "", err
	}
	return writeTemporary("values-*.yaml", content)
}

// writeTemporary writes a file for helm or kubectl to read, which the caller removes.
func writeTemporary(pattern string, content []byte) (string, error) {
	file, err := os.CreateTemp("", "bulkhead-testbed-"+pattern)
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	return file.Name(), errors.Join(err, file.Close())
}

// waitUntilLive tries to create what every tenant is refused, for a trial, until Bulkhead refuses it: then webhook,
// certificates and tenants are all in effect. (The idea is that of Kubernetes' own pod security tests.) It is something
// that the webhook alone refuses, and not the chart's policy.
func waitUntilLive(ctx context.Context, c *cluster.Cluster, namespace string) error {
	trial := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "trial"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "bulkhead-firewall", Image: "none"}}},
	}
	return c.Wait(ctx, "Bulkhead to refuse a pod with a reserved name in "+namespace, time.Minute, func(ctx context.Context) error {
		_, err := c.Client().CoreV1().Pods(namespace).Create(ctx, trial, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			return errors.New("it was admitted")
		case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "fw-reserved-name"):
			return nil
		}
		return err
	})
}

// podStates tells why Bulkhead's pods are not Ready, as an error to join to helm's, which only says that they are not.
func podStates(ctx context.Context, c *cluster.Cluster) error {
	pods, err := c.Client().CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	var states []error
	for _, pod := range pods.Items {
		states = append(states, fmt.Errorf("pod %s%s", pod.Name, cluster.Describe(&pod)))
	}
	return errors.Join(states...)
}
