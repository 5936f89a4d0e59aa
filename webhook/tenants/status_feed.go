package tenants

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// connectedEach is how often replicas are asked who is connected to them.
const connectedEach = 10 * time.Second

// Feed is what the status has from it. Without one all are nil.
type Feed struct {
	// Pods are all pods, as the feed follows them; nil: nobody follows them.
	Pods     *Members
	Identity Identity
	// Connected tells how many sidecars of each tenant hear of their peers, from all
	// replicas together.
	Connected func(context.Context) (map[string]int, error)
}

// followIdentity looks whether tenants with addressing identity can be served as
// before.
func (r *statusRun) followIdentity(context.Context) {
	var unserved string
	if problem := r.feed.Identity(); problem != nil {
		unserved = problem.Err.Error()
	}
	if unserved != r.unserved {
		r.unserved = unserved
		r.enqueueAll()
	}
}

// followConnected looks how many sidecars are connected. What is not known of one
// replica is not known.
func (r *statusRun) followConnected(ctx context.Context) {
	now, err := r.feed.Connected(ctx)
	if err != nil {
		if ctx.Err() == nil {
			klog.ErrorS(err, "Cannot count the sidecars that are connected")
		}
		if r.connected.Swap(nil) != nil {
			r.enqueueAll()
		}
		return
	}
	before := r.connected.Swap(&now)
	for _, t := range r.cluster.Index().Tenants() {
		if before == nil || (*before)[t.Name] != now[t.Name] {
			r.queue.AddAfter(t.Name, settle)
		}
	}
}

// connectedPods is nil where it is not known or means nothing.
func (r *statusRun) connectedPods(t *Tenant) *int32 {
	known := r.connected.Load()
	if known == nil || t.Spec.Addressing.Mode != v1alpha1.AddressingIdentity {
		return nil
	}
	return new(int32((*known)[t.Name]))
}
