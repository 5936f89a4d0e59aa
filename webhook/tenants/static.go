package tenants

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	kjson "sigs.k8s.io/json"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/webhook/manifests"
)

// Static answers from manifests that are read once.
type Static struct {
	config  *configv1alpha1.BulkheadConfiguration
	objects []*v1alpha1.Tenant
	index   *Index
}

// Load reads the Tenants from all .yaml, .yml and .json files under the folder,
// strictly. Objects of other groups, Namespaces and Pods for example, may be among
// them and are left: a Tenant names its namespaces itself. The error lists all
// that is wrong.
func Load(config *configv1alpha1.BulkheadConfiguration, folder string) (*Static, error) {
	var objects []*v1alpha1.Tenant
	err := manifests.Walk(folder, func(object manifests.Object) error {
		tenant, err := Parse(object)
		if tenant != nil {
			objects = append(objects, tenant)
		}
		return err
	})
	s, doubled := NewStatic(config, objects)
	if err := errors.Join(err, doubled); err != nil {
		return nil, fmt.Errorf("load manifests: %w", err)
	}
	return s, nil
}

// NewStatic answers from the given Tenants; no two may have one name.
func NewStatic(config *configv1alpha1.BulkheadConfiguration, objects []*v1alpha1.Tenant) (*Static, error) {
	var errs []error
	names := map[string]bool{}
	for _, tenant := range objects {
		if names[tenant.Name] {
			errs = append(errs, fmt.Errorf("tenant %q is defined twice", tenant.Name))
		}
		names[tenant.Name] = true
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Static{config, objects, NewIndex(config, objects)}, nil
}

// Owner returns the tenant of the namespace, or nil if it has none.
func (s *Static) Owner(_ context.Context, namespace string) (*Tenant, error) {
	return s.index.Owner(namespace), nil
}

// Index returns the one index.
func (s *Static) Index() *Index { return s.index }

// Problems returns what would be wrong with the tenant if it were there.
func (s *Static) Problems(candidate *v1alpha1.Tenant) []Problem {
	return problemsOf(s.config, candidate, s.objects)
}

// Parse reads a Tenant strictly. It returns nil for an object of another group.
func Parse(object manifests.Object) (*v1alpha1.Tenant, error) {
	version, err := schema.ParseGroupVersion(object.APIVersion)
	if err != nil {
		return nil, err
	}
	if object.Kind == "List" || object.Kind == "TenantList" {
		return nil, fmt.Errorf("a %s is not read: give each object a document of its own", object.Kind)
	}
	if version.Group != v1alpha1.GroupVersion.Group {
		return nil, nil
	}
	if version != v1alpha1.GroupVersion || object.Kind != "Tenant" {
		return nil, fmt.Errorf("unknown kind %s of %s", object.Kind, object.APIVersion)
	}
	tenant := &v1alpha1.Tenant{}
	strict, err := kjson.UnmarshalStrict(object.JSON, tenant)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	if tenant.Name == "" {
		return nil, errors.New("tenant: metadata.name is missing")
	}
	return tenant, nil
}
