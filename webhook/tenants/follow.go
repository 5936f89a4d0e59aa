package tenants

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// followPods tells the API server's pods until the context ends, where nobody else follows
// them.
func followPods(ctx context.Context, kube kubernetes.Interface) *Members {
	pods := kube.CoreV1().Pods(metav1.NamespaceAll)
	source := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return pods.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return pods.Watch(ctx, options)
		},
	}, kube)
	members := NewMembers()
	go cache.NewReflectorWithOptions(source, &corev1.Pod{}, followed{members}, cache.ReflectorOptions{Name: "tenants", TypeDescription: "pods"}).RunWithContext(ctx)
	return members
}

// followed is a cache.TransformingStore, so far as a Reflector needs one: of pods that it
// gathers before they are told, it keeps no more than Members need.
type followed struct{ members *Members }

func (f followed) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return trimmed(object) }
}

func (f followed) Add(object any) error { return f.Update(object) }

func (f followed) Update(object any) error {
	pod, err := trimmed(object)
	if err == nil {
		f.members.Set(pod)
	}
	return err
}

func (f followed) Delete(object any) error {
	pod, err := trimmed(object)
	if err == nil {
		f.members.Remove(pod.namespace, pod.name)
	}
	return err
}

func (f followed) Replace(objects []any, _ string) error {
	all := make([]any, len(objects))
	for i, object := range objects {
		pod, err := trimmed(object)
		if err != nil {
			return err
		}
		all[i] = pod
	}
	f.members.Replace(all)
	return nil
}

func (f followed) Resync() error { return nil }

// trimmed is what Members take of a pod that may be trimmed already.
func trimmed(object any) (*member, error) {
	switch pod := object.(type) {
	case *member:
		return pod, nil
	case *corev1.Pod:
		return newMember(pod), nil
	}
	return nil, fmt.Errorf("%T is no pod", object)
}
