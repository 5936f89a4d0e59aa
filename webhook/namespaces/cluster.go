package namespaces

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// labelPrefix begins the labels that are kept.
const labelPrefix = "pod-security.kubernetes.io/"

var namespacesResource = corev1.SchemeGroupVersion.WithResource("namespaces")

// Cluster follows namespaces and LimitRanges of an API server, and keeps of each what
// is asked for: a cluster may have ten thousand.
type Cluster struct {
	client     metadata.Interface
	namespaces cache.SharedIndexInformer
	limits     cache.SharedIndexInformer
}

// NewCluster prepares the informers; Run starts them.
func NewCluster(client metadata.Interface, kube kubernetes.Interface) (*Cluster, error) {
	c := &Cluster{
		client:     client,
		namespaces: metadatainformer.NewFilteredMetadataInformer(client, namespacesResource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer(),
		limits:     informers.NewSharedInformerFactory(kube, 0).Core().V1().LimitRanges().Informer(),
	}
	for _, informer := range []cache.SharedIndexInformer{c.namespaces, c.limits} {
		if err := informer.SetTransform(trim); err != nil {
			return nil, fmt.Errorf("prepare the informers of namespaces: %w", err)
		}
	}
	return c, nil
}

// Run follows until the context ends.
func (c *Cluster) Run(ctx context.Context) {
	go c.limits.RunWithContext(ctx)
	c.namespaces.RunWithContext(ctx)
}

// HasSynced tells whether the first lists have arrived.
func (c *Cluster) HasSynced() bool { return c.namespaces.HasSynced() && c.limits.HasSynced() }

// Labels returns the namespace's Pod Security labels. A namespace that is not known
// yet is looked up live; one that is not there is an error.
func (c *Cluster) Labels(ctx context.Context, namespace string) (map[string]string, error) {
	object, exists, err := c.namespaces.GetStore().GetByKey(namespace)
	if err != nil {
		return nil, err
	}
	if exists {
		return object.(*metav1.PartialObjectMetadata).Labels, nil
	}
	live, err := c.client.Resource(namespacesResource).Get(ctx, namespace, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return podSecurity(live.Labels), nil
}

// Limits returns the limits of all LimitRanges of the namespace.
func (c *Cluster) Limits(namespace string) ([]corev1.LimitRangeItem, error) {
	objects, err := c.limits.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil, err
	}
	var items []corev1.LimitRangeItem
	for _, object := range objects {
		items = append(items, object.(*corev1.LimitRange).Spec.Limits...)
	}
	return items, nil
}

func trim(object any) (any, error) {
	switch o := object.(type) {
	case *metav1.PartialObjectMetadata:
		return &metav1.PartialObjectMetadata{TypeMeta: o.TypeMeta, ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion, Labels: podSecurity(o.Labels),
		}}, nil
	case *corev1.LimitRange:
		return &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{
			Name: o.Name, Namespace: o.Namespace, UID: o.UID, ResourceVersion: o.ResourceVersion,
		}, Spec: o.Spec}, nil
	}
	return object, nil
}

// podSecurity returns the labels of the Pod Security Standards, nil if there is none.
func podSecurity(labels map[string]string) map[string]string {
	var kept map[string]string
	for key, value := range labels {
		if strings.HasPrefix(key, labelPrefix) {
			if kept == nil {
				kept = map[string]string{}
			}
			kept[key] = value
		}
	}
	return kept
}
