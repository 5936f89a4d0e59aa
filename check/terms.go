package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/manifests"
	"github.com/bulkhead-dev/bulkhead/webhook/namespaces"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// What stands for what no file says. Addresses are those of documentation (RFC 5737).
const (
	standInTenant = "stand-in"
	standInConfig = "apiVersion: " + configv1alpha1.APIVersion + "\nkind: " + configv1alpha1.Kind +
		"\nsidecar: {image: bulkhead.invalid/firewall}\n"
	standInNodes    = "192.0.2.0/24"
	standInPods     = "198.51.100.0/25"
	standInServices = "198.51.100.128/25"
)

// terms are under what objects are judged.
type terms struct {
	config     *configv1alpha1.BulkheadConfiguration
	tenants    []*v1alpha1.Tenant
	namespaces *namespaces.Static
	// namespace is where objects go that name none.
	namespace string
	// notes say what was assumed.
	notes []string
}

// newTerms finds the terms for the objects, and gives each its namespace.
func newTerms(ctx context.Context, o *Options, in *input, objects []*object) (*terms, error) {
	t := &terms{namespaces: namespaces.NewStatic(), namespace: o.Namespace}
	known := objects
	named := o.Tenant
	if isFile(o.Tenant) {
		found, err := in.read(ctx, []string{o.Tenant})
		if err != nil {
			return nil, fmt.Errorf("--tenant: %w", err)
		}
		if err := readable(found); err != nil {
			return nil, err
		}
		if named, err = onlyTenant(o.Tenant, found); err != nil {
			return nil, err
		}
		known = slices.Concat(found, withoutTenants(objects, found))
	} else if named != "" && (len(validation.IsDNS1123Subdomain(named)) > 0 || slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(named))) {
		return nil, fmt.Errorf("--tenant %s: no such file, nor a name that a tenant can have", named)
	}
	t.add(known)
	if err := t.configure(o.Config, known); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(t.tenants, func(tenant *v1alpha1.Tenant) bool { return tenant.Name == named })
	if t.namespace == "" && i >= 0 && len(t.tenants[i].Spec.Namespaces) > 0 {
		t.namespace = t.tenants[i].Spec.Namespaces[0]
	}
	if t.namespace == "" {
		t.namespace = metav1.NamespaceDefault
	}
	for _, object := range objects {
		object.place(t.namespace)
	}
	switch {
	case named != "" && i < 0:
		t.standIn(named, objects)
		t.note("no manifest defines tenant %s: it stands for one with defaults, which has every namespace that no other tenant has", named)
	case len(t.tenants) == 0 && o.Config == "" && len(t.nobodys(objects)) > 0:
		t.standIn(standInTenant, objects)
		t.note("no Tenant is known: every namespace is taken for a tenant's, with defaults")
	}
	if nobodys := t.nobodys(objects); len(nobodys) > 0 {
		t.note("namespaces of no tenant that is known, judged as the configuration's unassigned (%s) says: %s",
			t.config.Unassigned, strings.Join(nobodys, ", "))
	}
	return t, nil
}

// nobodys are the namespaces of the objects that neither a tenant has nor the
// configuration exempts.
func (t *terms) nobodys(objects []*object) []string {
	known := slices.Clone(t.config.Exempt.Namespaces)
	for _, tenant := range t.tenants {
		known = append(known, tenant.Spec.Namespaces...)
	}
	var names []string
	for _, o := range objects {
		if o.namespace != "" && !slices.Contains(known, o.namespace) {
			known, names = append(known, o.namespace), append(names, printable(o.namespace))
		}
	}
	return names
}

func (t *terms) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

func isFile(name string) bool {
	if name == "" {
		return false
	}
	_, err := os.Stat(name)
	return err == nil
}

// readable tells what cannot be read of objects that are not themselves checked.
func readable(objects []*object) error {
	var errs []error
	for _, o := range objects {
		_, err := tenants.Parse(o.manifest())
		if err = errors.Join(err, namespaces.NewStatic().Add(o.manifest())); err != nil {
			errs = append(errs, o.wrong(o.path, err))
		}
	}
	return errors.Join(errs...)
}

// onlyTenant is the name of the tenant that a file defines; empty if there are several.
func onlyTenant(file string, objects []*object) (string, error) {
	var names []string
	for _, object := range objects {
		if object.isTenant() {
			names = append(names, object.meta.Name)
		}
	}
	switch len(names) {
	case 0:
		return "", fmt.Errorf("--tenant %s: no object there is a Tenant of %s", file, v1alpha1.GroupVersion)
	case 1:
		return names[0], nil
	default:
		return "", nil
	}
}

// withoutTenants leaves out the Tenants that the others define too: the file of --tenant
// may be among the files that are checked.
func withoutTenants(objects, others []*object) []*object {
	return slices.DeleteFunc(slices.Clone(objects), func(o *object) bool {
		return o.isTenant() && slices.ContainsFunc(others, func(other *object) bool {
			return other.isTenant() && other.meta.Name == o.meta.Name
		})
	})
}

// add takes Tenants, Namespaces and LimitRanges. One that cannot be read says nothing
// here; that it is wrong, its own check says.
func (t *terms) add(objects []*object) {
	for _, o := range objects {
		if tenant, err := tenants.Parse(o.manifest()); err == nil && tenant != nil {
			t.tenants = append(t.tenants, tenant)
		}
		_ = t.namespaces.Add(o.manifest())
	}
}

// configure takes the configuration of the file, or that of the input, or defaults.
func (t *terms) configure(file string, objects []*object) error {
	var given []*object
	var configs []*configv1alpha1.BulkheadConfiguration
	for _, o := range objects {
		if !o.isConfig() {
			continue
		}
		config, err := configv1alpha1.Parse(o.json)
		if err != nil {
			return o.wrong(o.path, err)
		}
		given, configs = append(given, o), append(configs, config)
	}
	var err error
	switch {
	case file != "":
		t.config, err = configv1alpha1.Load(file)
	case len(given) > 1:
		err = given[1].wrong(given[1].path, fmt.Errorf("a second %s: say which counts by --config", configv1alpha1.Kind))
	case len(given) == 1:
		t.config = configs[0]
	default:
		t.config, err = configv1alpha1.Parse([]byte(standInConfig))
		if err == nil {
			t.config.Cluster.NodeCIDRs = []string{standInNodes}
			t.config.Cluster.TenantCIDRs = t.ranges()
			t.note("no --config: the default configuration counts (%s enforced, %s warned of), and addresses are judged by the tenants' ranges alone",
				v1alpha1.Standard{Level: t.config.PodSecurity.Enforce, Version: t.config.PodSecurity.EnforceVersion},
				v1alpha1.Standard{Level: t.config.PodSecurity.Warn, Version: t.config.PodSecurity.WarnVersion})
		}
	}
	if err != nil {
		return err
	}
	// What becomes of a workload is pods, which are refused whatever is said of their
	// template; and who will create it all, nobody knows here.
	t.config.WorkloadTemplates = configv1alpha1.WorkloadTemplatesEnforce
	t.config.Administrators = configv1alpha1.Subjects{}
	return nil
}

// ranges are all ranges of the tenants that can be read.
func (t *terms) ranges() []string {
	var ranges []string
	for _, tenant := range t.tenants {
		for _, text := range tenant.Spec.Addressing.CIDRs {
			if _, err := configv1alpha1.ParseCIDR(text); err == nil && !slices.Contains(ranges, text) {
				ranges = append(ranges, text)
			}
		}
	}
	return ranges
}

// standIn adds a tenant with defaults that has every namespace that nobody has.
func (t *terms) standIn(name string, objects []*object) {
	tenant := &v1alpha1.Tenant{}
	tenant.Name = name
	tenant.Spec.Namespaces = slices.DeleteFunc(t.nobodys(objects), func(namespace string) bool {
		return len(validation.IsDNS1123Label(namespace)) > 0
	})
	if len(tenant.Spec.Namespaces) == 0 {
		return
	}
	t.tenants = append(t.tenants, tenant)
}

// exempt tells whether the configuration exempts the namespace.
func (t *terms) exempt(namespace string) bool {
	return namespace != "" && slices.Contains(t.config.Exempt.Namespaces, namespace)
}

func (o *object) manifest() manifests.Object {
	return manifests.Object{TypeMeta: o.TypeMeta, JSON: o.json}
}

// isTenant: of any version, so that a wrong one is not left out.
func (o *object) isTenant() bool {
	return o.isOurs() && o.Kind == "Tenant"
}

func (o *object) isOurs() bool {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	return group == v1alpha1.GroupVersion.Group
}

// isConfig tells whether the object is a configuration.
func (o *object) isConfig() bool { return o.is(configv1alpha1.APIVersion, configv1alpha1.Kind) }

// place gives the object its namespace: the one of the request that would create it.
// Kinds that are not judged may have none.
func (o *object) place(namespace string) {
	switch {
	case o.is("v1", "Namespace"):
		o.namespace = o.meta.Name
	case o.isTenant() || o.is("v1", "PersistentVolume"):
		o.namespace = ""
	case o.namespace == "" && webhook.Judges(o.GroupVersionKind()):
		o.namespace = namespace
	}
}
