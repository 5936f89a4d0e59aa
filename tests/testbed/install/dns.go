package install

import (
	"context"
	_ "embed"
	"os"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
)

//go:embed dns.yaml
var dnsManifests []byte

// DNS gives the cluster CoreDNS, in pods, and waits until it answers.
func DNS(ctx context.Context, c *cluster.Cluster) error {
	if err := c.LoadImages(ctx, image.CoreDNS(c.Binary(build.CoreDNS))); err != nil {
		return err
	}
	manifests, err := writeTemporary("dns-*.yaml", dnsManifests)
	if err != nil {
		return err
	}
	defer os.Remove(manifests)
	if _, err := c.Kubectl(ctx, "apply", "--filename", manifests); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "--namespace", "kube-system", "rollout", "status", "deployment/coredns", "--timeout", "1m")
	return err
}
