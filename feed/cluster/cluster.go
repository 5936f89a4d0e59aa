package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
)

// Cluster follows an API server.
type Cluster struct {
	kube  kubernetes.Interface
	kinds []follower
}

// New prepares it; Run starts it.
func New(kube kubernetes.Interface, store *peers.Store, configured Ranges, beside Pods) *Cluster {
	ranges := newDetector(kube, store, configured)
	ranges.tell()
	return &Cluster{kube: kube, kinds: append(ranges.kinds, followPods(kube, store, beside), followServices(kube, store))}
}

// Run follows until the context ends.
func (c *Cluster) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, k := range c.kinds {
		all.Go(func() { k.run(ctx, c.kube) })
	}
	all.Wait()
}

// Ready says what has not been read yet.
func (c *Cluster) Ready() error {
	var pending []string
	for _, k := range c.kinds {
		if name := k.pending(); name != "" {
			pending = append(pending, name)
		}
	}
	if len(pending) > 0 {
		return fmt.Errorf("not read yet: %s", strings.Join(pending, ", "))
	}
	return nil
}
