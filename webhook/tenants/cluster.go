package tenants

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// liveReadTimeout bounds one live read, whoever waits for it.
const liveReadTimeout = 5 * time.Second

// Cluster follows the Tenants of an API server.
type Cluster struct {
	config   *configv1alpha1.BulkheadConfiguration
	client   Client
	informer cache.SharedIndexInformer
	live     flight
	fresh    freshness

	mutex sync.Mutex
	index *Index // nil: to be computed from the informer's store
}

// NewCluster prepares the informer; Run starts it.
func NewCluster(config *configv1alpha1.BulkheadConfiguration, client Client) (*Cluster, error) {
	c := &Cluster{config: config, client: client, fresh: freshness{now: time.Now}}
	c.live.read = c.readLive
	c.informer = cache.NewSharedIndexInformerWithOptions(
		cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return client.List(ctx, options)
			},
			WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
				return c.fresh.watch(ctx, client, options)
			},
		}, client),
		&v1alpha1.Tenant{},
		cache.SharedIndexInformerOptions{ObjectDescription: "tenants"},
	)
	if err := c.informer.SetTransform(trimTenant); err != nil {
		return nil, fmt.Errorf("prepare the informer of tenants: %w", err)
	}
	_, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { c.forget() },
		UpdateFunc: func(old, updated any) {
			if specChanged(old, updated) {
				c.forget()
			}
		},
		DeleteFunc: func(any) { c.forget() },
	})
	if err != nil {
		return nil, fmt.Errorf("prepare the informer of tenants: %w", err)
	}
	return c, nil
}

// Run follows the Tenants until the context ends.
func (c *Cluster) Run(ctx context.Context) { c.informer.RunWithContext(ctx) }

// HasSynced tells whether the first list has arrived.
func (c *Cluster) HasSynced() bool { return c.informer.HasSynced() }

// Owner returns the tenant of the namespace, or nil if it has none. A namespace
// that nobody owns here is looked up live before it is called so, unless a watch
// shows that nothing has changed since the last such look; an error means that
// nothing is known.
func (c *Cluster) Owner(ctx context.Context, namespace string) (*Tenant, error) {
	if owner := c.Index().Owner(namespace); owner != nil {
		return owner, nil
	}
	if index := c.fresh.known(); index != nil {
		return index.Owner(namespace), nil
	}
	index, err := c.live.do(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tenants live for namespace %s, which has none in the cache: %w", namespace, err)
	}
	return index.Owner(namespace), nil
}

// Index returns the index of what is cached.
func (c *Cluster) Index() *Index {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.index == nil {
		c.index = NewIndex(c.config, c.cached())
	}
	return c.index
}

// Problems returns what would be wrong with the tenant if it were stored.
func (c *Cluster) Problems(candidate *v1alpha1.Tenant) []Problem {
	return problemsOf(c.config, candidate, c.cached())
}

// trimTenant drops what nobody here reads.
func trimTenant(object any) (any, error) {
	if tenant, ok := object.(*v1alpha1.Tenant); ok {
		tenant.ManagedFields, tenant.Annotations = nil, nil
	}
	return object, nil
}

// specChanged is false for the many updates that are our own of a status.
func specChanged(old, updated any) bool {
	before, after := old.(*v1alpha1.Tenant), updated.(*v1alpha1.Tenant)
	return before.Generation != after.Generation || before.UID != after.UID
}

func (c *Cluster) forget() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.index = nil
}

func (c *Cluster) cached() []*v1alpha1.Tenant {
	objects := c.informer.GetStore().List()
	tenants := make([]*v1alpha1.Tenant, 0, len(objects))
	for _, object := range objects {
		tenants = append(tenants, object.(*v1alpha1.Tenant))
	}
	return tenants
}

func (c *Cluster) readLive() (*Index, error) {
	ctx, cancel := context.WithTimeout(context.Background(), liveReadTimeout)
	defer cancel()
	epoch, at := c.fresh.begin()
	list, err := c.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	index := NewIndex(c.config, pointers(list))
	c.fresh.keep(index, epoch, at)
	return index, nil
}

func pointers(list *v1alpha1.TenantList) []*v1alpha1.Tenant {
	tenants := make([]*v1alpha1.Tenant, len(list.Items))
	for i := range list.Items {
		tenants[i] = &list.Items[i]
	}
	return tenants
}

// problemsOf puts the candidate in the place of its namesake among the others.
func problemsOf(config *configv1alpha1.BulkheadConfiguration, candidate *v1alpha1.Tenant, others []*v1alpha1.Tenant) []Problem {
	all := []*v1alpha1.Tenant{candidate}
	for _, other := range others {
		if other.Name != candidate.Name {
			all = append(all, other)
		}
	}
	return NewIndex(config, all).Get(candidate.Name).Problems
}
