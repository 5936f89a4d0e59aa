package cluster

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// object is a Kubernetes object of one kind.
type object interface {
	runtime.Object
	metav1.Object
}

// kept is an object on its way, trimmed: T is what the Store takes of it. It is a
// runtime.Object so far as client-go's Reflector needs it.
type kept[T any] struct {
	namespace, name, version string
	annotations              map[string]string // of bookmarks alone
	value                    T
}

func (k *kept[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: k.namespace, Name: k.name, ResourceVersion: k.version, Annotations: k.annotations}
}
func (k *kept[T]) GetObjectKind() schema.ObjectKind { return schema.EmptyObjectKind }
func (k *kept[T]) DeepCopyObject() runtime.Object   { return k } // nobody changes it

// kind says what is done with the objects of one kind.
type kind[O object, T any] struct {
	name string
	// list and watch are the API server's.
	list  func(context.Context, metav1.ListOptions) (items []O, meta metav1.ListMeta, err error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	trim  func(O) T
	// set, remove and replace tell the Store. The API server gives every change a
	// revision: of one kind they rise, and are comparable (KEP-5504).
	set     func(object T, revision uint64)
	remove  func(namespace, name string, revision uint64)
	replace func(objects []T, revision uint64)

	synced atomic.Bool
}

// follower follows the objects of one kind.
type follower interface {
	run(ctx context.Context, client any)
	// pending is the kind's name until all that there is has been told; then empty.
	pending() string
}

func (k *kind[O, T]) run(ctx context.Context, client any) {
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{ListWithContextFunc: k.page, WatchFuncWithContext: k.events}, client)
	cache.NewReflectorWithOptions(source, &kept[T]{}, k, cache.ReflectorOptions{Name: "feed", TypeDescription: k.name}).RunWithContext(ctx)
}

func (k *kind[O, T]) pending() string {
	if k.synced.Load() {
		return ""
	}
	return k.name
}

func (k *kind[O, T]) page(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	items, meta, err := k.list(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", k.name, err)
	}
	page := &internalversion.List{ListMeta: meta, Items: make([]runtime.Object, len(items))}
	for i, item := range items {
		page.Items[i] = k.keep(item)
	}
	return page, nil
}

func (k *kind[O, T]) events(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	events, err := k.watch(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", k.name, err)
	}
	return watch.Filter(events, func(event watch.Event) (watch.Event, bool) {
		item, ok := event.Object.(O)
		if !ok {
			return event, true // an error's
		}
		kept := k.keep(item)
		if event.Type == watch.Bookmark {
			kept.annotations = item.GetAnnotations()
		}
		event.Object = kept
		return event, true
	}), nil
}

func (k *kind[O, T]) keep(item O) *kept[T] {
	return &kept[T]{namespace: item.GetNamespace(), name: item.GetName(), version: item.GetResourceVersion(), value: k.trim(item)}
}

// Add, Update, Delete, Replace and Resync are cache.ReflectorStore.

func (k *kind[O, T]) Add(item any) error { return k.Update(item) }

func (k *kind[O, T]) Update(item any) error {
	o := item.(*kept[T])
	k.set(o.value, revision(o.version))
	return nil
}

func (k *kind[O, T]) Delete(item any) error {
	o := item.(*kept[T])
	k.remove(o.namespace, o.name, revision(o.version))
	return nil
}

func (k *kind[O, T]) Replace(items []any, version string) error {
	all := make([]T, len(items))
	for i, item := range items {
		all[i] = item.(*kept[T]).value
	}
	k.replace(all, revision(version))
	k.synced.Store(true)
	return nil
}

func revision(version string) uint64 {
	number, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return 0 // an API server whose versions are no numbers
	}
	return number
}

func (k *kind[O, T]) Resync() error { return nil }
