// Package experiments plays the security experiments of the thesis that Bulkhead grew out of, and the attacks that came
// to be known since, on a real cluster: each first without Bulkhead and then with it. The demo and the end-to-end test
// are both this.
//
// What a tenant can try is played by `bulkhead verify`, the product's own proof, as a platform engineer would run it;
// what only a node can do, by package faults. Played without Bulkhead every attack has to work, or it would prove nothing
// that it does not with it.
package experiments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The two tenants.
const (
	alice = "alice"
	bob   = "bob"
)

// TenantCIDRs is the range of all tenants together, IPv4 first. It holds the pods' second network.
func TenantCIDRs() []string { return []string{"172.16.0.0/15", "fd00:172:16::/47"} }

// Ranges gives each tenant's namespace its part of TenantCIDRs, for the cluster's IPAM.
func Ranges() map[string][]string {
	return map[string][]string{
		alice: {"172.16.1.0/24", "fd00:172:16:1::/64"},
		bob:   {"172.16.2.0/24", "fd00:172:16:2::/64"},
	}
}

// SecondRanges gives each tenant's namespace its part of the pods' second network.
func SecondRanges() map[string][]string {
	return map[string][]string{
		alice: {"172.17.1.0/24", "fd00:172:17:0:1::/80"},
		bob:   {"172.17.2.0/24", "fd00:172:17:0:2::/80"},
	}
}

// tenants are alice and bob, with one namespace each that is called as they are.
func tenants(network cluster.Network) []install.Tenant {
	var all []install.Tenant
	for _, name := range []string{alice, bob} {
		all = append(all, install.Tenant{Name: name, Namespaces: []string{name}, CIDRs: slices.Concat(network.Ranges[name], network.SecondRanges[name])})
	}
	return all
}

// InstallBulkhead installs Bulkhead with the tenants alice and bob, whose namespaces must exist.
func InstallBulkhead(ctx context.Context, c *cluster.Cluster) error {
	network := c.Network()
	return install.Bulkhead(ctx, c, TenantCIDRs()[:len(network.Node)], tenants(network)...)
}

// Prepare makes the tenants' namespaces and gives the node the images of pods that play.
func Prepare(ctx context.Context, c *cluster.Cluster) error {
	tools, err := image.Tools(ctx, c.Binary(build.Stream))
	if err != nil {
		return err
	}
	if err := c.LoadImages(ctx, tools); err != nil {
		return err
	}
	if err := c.LoadImage(ctx, install.Archive(c.Options().Repository, "probe")); err != nil {
		return err
	}
	for _, name := range []string{alice, bob} {
		if err := createNamespace(ctx, c, name); err != nil {
			return err
		}
	}
	return nil
}

func createNamespace(ctx context.Context, c *cluster.Cluster, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := c.Client().CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the namespace %s: %w", name, err)
	}
	return c.Wait(ctx, "the service account of "+name, time.Minute, func(ctx context.Context) error {
		_, err := c.Client().CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}
