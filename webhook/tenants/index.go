package tenants

import (
	"net/netip"
	"slices"
	"strings"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Tenant is a Tenant object with its effective settings: nothing that has a
// default is empty.
type Tenant struct {
	*v1alpha1.Tenant
	// Peers are spec.addressing.cidrs; with mode identity there are none.
	Peers []netip.Prefix
	// Problems say why pods of this tenant cannot be admitted. Empty: they can.
	Problems []Problem

	memo *memo // nil outside an index
}

// Index answers for one state of all Tenants. It is immutable.
type Index struct {
	byName map[string]*Tenant
	// claims holds the tenants that claim a namespace, strictest first.
	claims map[string][]*Tenant
}

// NewIndex computes the index. It keeps nothing of the given objects.
func NewIndex(config *configv1alpha1.BulkheadConfiguration, objects []*v1alpha1.Tenant) *Index {
	index := &Index{byName: map[string]*Tenant{}, claims: map[string][]*Tenant{}}
	all := make([]*Tenant, 0, len(objects))
	for _, object := range objects {
		t := newTenant(config, object)
		all = append(all, t)
		index.byName[t.Name] = t
	}
	slices.SortFunc(all, func(a, b *Tenant) int { return strings.Compare(a.Name, b.Name) })
	for _, t := range all {
		for _, namespace := range t.Spec.Namespaces {
			index.claims[namespace] = append(index.claims[namespace], t)
		}
	}
	for _, claimers := range index.claims {
		slices.SortStableFunc(claimers, func(a, b *Tenant) int { return strictness(a) - strictness(b) })
	}
	index.findProblems(config, all)
	return index
}

// newTenant applies the defaults of the CRD, which manifests have not been
// through, and of the configuration.
func newTenant(config *configv1alpha1.BulkheadConfiguration, object *v1alpha1.Tenant) *Tenant {
	t := &Tenant{Tenant: object.DeepCopy()}
	t.memo = &memo{tenant: t}
	setDefault(&t.Spec.Enforcement, v1alpha1.Enforce)
	setDefault(&t.Spec.Addressing.Mode, v1alpha1.AddressingIdentity)
	setDefault(&t.Spec.Egress.Metadata, v1alpha1.Deny)
	setDefault(&t.Spec.Egress.Nodes, v1alpha1.Deny)
	setDefault(&t.Spec.Egress.External, v1alpha1.Allow)
	setDefault(&t.Spec.PodSecurity.Enforce, config.PodSecurity.Enforce)
	setDefault(&t.Spec.PodSecurity.EnforceVersion, config.PodSecurity.EnforceVersion)
	setDefault(&t.Spec.PodSecurity.Warn, config.PodSecurity.Warn)
	setDefault(&t.Spec.PodSecurity.WarnVersion, config.PodSecurity.WarnVersion)
	setDefault(&t.Spec.PodSecurity.Audit, config.PodSecurity.Audit)
	setDefault(&t.Spec.PodSecurity.AuditVersion, config.PodSecurity.AuditVersion)
	return t
}

func setDefault[T ~string](field *T, value T) {
	if *field == "" {
		*field = value
	}
}

// strictness orders the claimers of a namespace: where two claim it, both with a
// problem, the one that enforces must answer.
func strictness(t *Tenant) int {
	if t.Spec.Enforcement == v1alpha1.Enforce {
		return 0
	}
	return 1
}

// Owner returns the tenant of the namespace, or nil if it has none.
func (i *Index) Owner(namespace string) *Tenant {
	if claimers := i.claims[namespace]; len(claimers) > 0 {
		return claimers[0]
	}
	return nil
}

// Claimers returns all tenants that claim the namespace; more than one is a
// problem of each.
func (i *Index) Claimers(namespace string) []*Tenant { return i.claims[namespace] }

// Get returns the tenant of that name, or nil.
func (i *Index) Get(name string) *Tenant { return i.byName[name] }

// Tenants returns all tenants, in no order.
func (i *Index) Tenants() []*Tenant {
	all := make([]*Tenant, 0, len(i.byName))
	for _, t := range i.byName {
		all = append(all, t)
	}
	return all
}
