package tenants

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
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
	s := &Static{config: config}
	var errs []error
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return nil
		}
		tenants, err := loadFile(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
		}
		s.objects = append(s.objects, tenants...)
		return nil
	})
	names := map[string]bool{}
	for _, tenant := range s.objects {
		if names[tenant.Name] {
			errs = append(errs, fmt.Errorf("tenant %q is defined twice", tenant.Name))
		}
		names[tenant.Name] = true
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("load manifests: %w", err)
	}
	s.index = NewIndex(config, s.objects)
	return s, nil
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

func loadFile(path string) ([]*v1alpha1.Tenant, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var tenants []*v1alpha1.Tenant
	var errs []error
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 1; ; n++ {
		document, err := reader.Read()
		if err == io.EOF {
			return tenants, errors.Join(errs...)
		}
		if err != nil {
			return tenants, errors.Join(append(errs, fmt.Errorf("document %d: %w", n, err))...)
		}
		tenant, err := parseTenant(document)
		if err != nil {
			errs = append(errs, fmt.Errorf("document %d: %w", n, err))
		} else if tenant != nil {
			tenants = append(tenants, tenant)
		}
	}
}

// parseTenant returns nil for an object of another group and for a document
// without content.
func parseTenant(document []byte) (*v1alpha1.Tenant, error) {
	asJSON, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, err
	}
	var kind *metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(asJSON, &kind); err != nil || kind == nil {
		return nil, err
	}
	if kind.APIVersion == "" || kind.Kind == "" {
		return nil, errors.New("apiVersion or kind is missing")
	}
	version, err := schema.ParseGroupVersion(kind.APIVersion)
	if err != nil {
		return nil, err
	}
	if kind.Kind == "List" || kind.Kind == "TenantList" {
		return nil, fmt.Errorf("a %s is not read: give each object a document of its own", kind.Kind)
	}
	if version.Group != v1alpha1.GroupVersion.Group {
		return nil, nil
	}
	if version != v1alpha1.GroupVersion || kind.Kind != "Tenant" {
		return nil, fmt.Errorf("unknown kind %s of %s", kind.Kind, kind.APIVersion)
	}
	tenant := &v1alpha1.Tenant{}
	strict, err := kjson.UnmarshalStrict(asJSON, tenant)
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, fmt.Errorf("tenant: %w", err)
	}
	if tenant.Name == "" {
		return nil, errors.New("tenant: metadata.name is missing")
	}
	return tenant, nil
}
