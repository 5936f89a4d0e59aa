package tenants

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Client is what this package does with Tenants in an API server.
type Client interface {
	List(ctx context.Context, options metav1.ListOptions) (*v1alpha1.TenantList, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
	UpdateStatus(ctx context.Context, tenant *v1alpha1.Tenant, options metav1.UpdateOptions) (*v1alpha1.Tenant, error)
}

// NewClient makes a typed client for Tenants. It leaves the configuration alone.
func NewClient(config *rest.Config) (Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("register %s: %w", v1alpha1.GroupVersion, err)
	}
	ours := rest.CopyConfig(config)
	ours.GroupVersion = &v1alpha1.GroupVersion
	ours.APIPath = "/apis"
	ours.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	// Custom resources have no protobuf.
	ours.ContentType, ours.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(ours)
	if err != nil {
		return nil, fmt.Errorf("make a client for %s: %w", v1alpha1.GroupVersion, err)
	}
	return gentype.NewClientWithList("tenants", client, runtime.NewParameterCodec(scheme), "",
		func() *v1alpha1.Tenant { return &v1alpha1.Tenant{} },
		func() *v1alpha1.TenantList { return &v1alpha1.TenantList{} },
	), nil
}
