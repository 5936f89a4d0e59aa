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

// The tenants. Each has one namespace that is called as it is. In a cluster whose IPAM gives alice and bob ranges they
// have addressing cidr, else identity; carol and dave are there if it gives them some.
const (
	alice = "alice"
	bob   = "bob"
	carol = "carol"
	dave  = "dave"
)

// shared is a namespace of nobody's that alice shares: an ingress controller's, for instance.
const shared = "ingress"

// Ranges gives alice's and bob's namespaces ranges of their own, for a cluster with routed links.
func Ranges() map[string][]string {
	return map[string][]string{
		alice: {"172.16.1.0/24", "fd00:172:16:1::/64"},
		bob:   {"172.16.2.0/24", "fd00:172:16:2::/64"},
	}
}

// SecondRanges gives each of the two its part of the pods' second network.
func SecondRanges() map[string][]string {
	return map[string][]string{
		alice: {"172.17.1.0/24", "fd00:172:17:0:1::/80"},
		bob:   {"172.17.2.0/24", "fd00:172:17:0:2::/80"},
	}
}

// parts gives carol's and dave's namespaces parts of the one range that all pods on the bridge have.
func parts() map[string][]string {
	return map[string][]string{
		carol: {"10.244.17.0/24", "fd00:10:244:0:8001::/80"},
		dave:  {"10.244.18.0/24", "fd00:10:244:0:8002::/80"},
	}
}

// tenantCIDRs is the range of all tenants with addressing cidr together, IPv4 first. It holds the pods' second network.
func tenantCIDRs(network cluster.Network) []string {
	all := []string{"172.16.0.0/15", "fd00:172:16::/47"}
	if !network.Routed {
		all = []string{"10.244.16.0/20", "fd00:10:244:0:8000::/65"}
	}
	if len(network.Ranges) == 0 {
		return nil
	}
	return all[:len(network.Node)]
}

// tenants are those that the cluster's network has room for.
func tenants(network cluster.Network) []install.Tenant {
	var all []install.Tenant
	for _, name := range []string{alice, bob, carol, dave} {
		ranges := slices.Concat(network.Ranges[name], network.SecondRanges[name])
		if (name == carol || name == dave) && len(ranges) == 0 {
			continue
		}
		tenant := install.Tenant{Name: name, Namespaces: []string{name}, CIDRs: ranges}
		if name == alice && len(ranges) == 0 {
			tenant.Shared, tenant.Public = []string{shared}, []string{alice + "/bulkhead-verify-public", alice + "/exposed"}
		}
		all = append(all, tenant)
	}
	return all
}

// InstallBulkhead installs Bulkhead with the tenants, whose namespaces must exist.
func InstallBulkhead(ctx context.Context, c *cluster.Cluster) error {
	network := c.Network()
	return install.Bulkhead(ctx, c, tenantCIDRs(network), tenants(network)...)
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
	namespaces := []string{shared}
	for _, tenant := range tenants(c.Network()) {
		namespaces = append(namespaces, tenant.Namespaces...)
	}
	for _, name := range namespaces {
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
