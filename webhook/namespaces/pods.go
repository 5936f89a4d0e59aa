package namespaces

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// page is how many pods are read, and held, at a time. A tenant can make each a megabyte.
const page = 50

// Pods reads pods live. It keeps none.
type Pods struct {
	client kubernetes.Interface
}

// NewPods reads by the client.
func NewPods(client kubernetes.Interface) Pods { return Pods{client} }

// Each calls visit with the pods of a namespace until it returns false.
func (p Pods) Each(ctx context.Context, namespace string, visit func(*corev1.Pod) bool) error {
	options := metav1.ListOptions{Limit: page}
	for {
		list, err := p.client.CoreV1().Pods(namespace).List(ctx, options)
		if err != nil {
			return fmt.Errorf("list the pods of namespace %s: %w", namespace, err)
		}
		for i := range list.Items {
			if !visit(&list.Items[i]) {
				return nil
			}
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}
