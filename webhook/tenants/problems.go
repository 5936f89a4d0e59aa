package tenants

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// The reasons of problems, as the condition Ready gives them.
const (
	// ReasonConflict: another tenant or the configuration has a better claim.
	ReasonConflict = "Conflict"
	// ReasonInvalidAddressing: the tenant's ranges cannot be enforced.
	ReasonInvalidAddressing = "InvalidAddressing"
	// ReasonInvalidSpec: a value that the CRD refuses, met where no API server
	// validates or an older CRD is installed.
	ReasonInvalidSpec = "InvalidSpec"
)

// Problem says why a tenant's pods cannot be admitted.
type Problem struct {
	Reason string
	// Err holds the field's path.
	Err *field.Error
}

// Texts joins the problems in one line.
func Texts(problems []Problem) string {
	texts := make([]string, len(problems))
	for i, problem := range problems {
		texts[i] = problem.Err.Error()
	}
	return strings.Join(texts, "; ")
}

func (t *Tenant) report(reason string, err *field.Error) {
	t.Problems = append(t.Problems, Problem{reason, err})
}

func (i *Index) findProblems(config *configv1alpha1.BulkheadConfiguration, all []*Tenant) {
	for _, t := range all {
		t.findInvalidValues()
		i.findNamespaceConflicts(config, t)
		t.findInvalidAddressing(config)
		if t.Spec.Addressing.Mode == v1alpha1.AddressingCIDR {
			i.findSharedConflicts(t)
		}
	}
	findOverlaps(all)
}

// findInvalidValues repeats what the CRD's schema says, but for addressing.
func (t *Tenant) findInvalidValues() {
	spec := field.NewPath("spec")
	invalid := func(err *field.Error) { t.report(ReasonInvalidSpec, err) }
	if len(t.Spec.Namespaces) == 0 {
		invalid(field.Required(spec.Child("namespaces"), "at least one"))
	}
	for n, namespace := range t.Spec.Namespaces {
		path := spec.Child("namespaces").Index(n)
		for _, message := range validation.IsDNS1123Label(namespace) {
			invalid(field.Invalid(path, namespace, message))
		}
		if slices.Contains(t.Spec.Namespaces[:n], namespace) {
			invalid(field.Duplicate(path, namespace))
		}
	}
	for n, shared := range t.Spec.Shared {
		namespace, service, hasService := strings.Cut(shared, "/")
		messages := validation.IsDNS1123Label(namespace)
		if hasService {
			messages = append(messages, validation.IsDNS1123Label(service)...)
		}
		for _, message := range messages {
			invalid(field.Invalid(spec.Child("shared").Index(n), shared, message))
		}
	}
	for n, public := range t.Spec.Public {
		path := spec.Child("public").Index(n)
		namespace, service, _ := strings.Cut(public, "/")
		for _, message := range append(validation.IsDNS1123Label(namespace), validation.IsDNS1123Label(service)...) {
			invalid(field.Invalid(path, public, message))
		}
		if !slices.Contains(t.Spec.Namespaces, namespace) {
			invalid(field.Invalid(path, public, "is in none of the tenant's namespaces"))
		}
	}
	security, egress := spec.Child("podSecurity"), spec.Child("egress")
	for _, check := range []struct {
		path      *field.Path
		value     string
		supported []string
	}{
		{spec.Child("enforcement"), string(t.Spec.Enforcement), texts(v1alpha1.Enforce, v1alpha1.Warn, v1alpha1.Audit)},
		{security.Child("enforce"), string(t.Spec.PodSecurity.Enforce), texts(v1alpha1.Baseline, v1alpha1.Restricted)},
		{security.Child("warn"), string(t.Spec.PodSecurity.Warn), texts(v1alpha1.Privileged, v1alpha1.Baseline, v1alpha1.Restricted)},
		{security.Child("audit"), string(t.Spec.PodSecurity.Audit), texts(v1alpha1.Privileged, v1alpha1.Baseline, v1alpha1.Restricted)},
		{egress.Child("metadata"), string(t.Spec.Egress.Metadata), texts(v1alpha1.Allow, v1alpha1.Deny)},
		{egress.Child("nodes"), string(t.Spec.Egress.Nodes), texts(v1alpha1.Allow, v1alpha1.Deny)},
		{egress.Child("external"), string(t.Spec.Egress.External), texts(v1alpha1.Allow, v1alpha1.Deny)},
	} {
		if !slices.Contains(check.supported, check.value) {
			invalid(field.NotSupported(check.path, check.value, check.supported))
		}
	}
	t.findInvalidVersions(security)
	t.findInvalidNetworks(spec.Child("networks"))
}

func (t *Tenant) findInvalidVersions(path *field.Path) {
	for _, version := range []struct{ name, value string }{
		{"enforceVersion", t.Spec.PodSecurity.EnforceVersion},
		{"warnVersion", t.Spec.PodSecurity.WarnVersion},
		{"auditVersion", t.Spec.PodSecurity.AuditVersion},
	} {
		if _, err := v1alpha1.ParseVersion(version.value); err != nil {
			t.report(ReasonInvalidSpec, field.Invalid(path.Child(version.name), version.value, err.Error()))
		}
	}
}

// findInvalidNetworks wants names as the CRD's pattern does.
func (t *Tenant) findInvalidNetworks(path *field.Path) {
	for n, network := range t.Spec.Networks {
		namespace, name, _ := strings.Cut(network, "/")
		for _, message := range append(validation.IsDNS1123Label(namespace), validation.IsDNS1123Subdomain(name)...) {
			t.report(ReasonInvalidSpec, field.Invalid(path.Index(n), network, message))
		}
	}
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, value := range values {
		out[i] = string(value)
	}
	return out
}

func (i *Index) findNamespaceConflicts(config *configv1alpha1.BulkheadConfiguration, t *Tenant) {
	for n, namespace := range t.Spec.Namespaces {
		path := field.NewPath("spec", "namespaces").Index(n)
		if slices.Contains(config.Exempt.Namespaces, namespace) {
			t.report(ReasonConflict, field.Invalid(path, namespace, "is exempt by the configuration"))
		}
		for _, other := range i.claims[namespace] {
			if other != t {
				t.report(ReasonConflict, field.Invalid(path, namespace, "is also claimed by tenant "+other.Name))
			}
		}
	}
}

// findSharedConflicts: fixed ranges cannot tell a shared namespace of another
// tenant from the rest of that tenant.
func (i *Index) findSharedConflicts(t *Tenant) {
	for n, shared := range t.Spec.Shared {
		namespace, _, _ := strings.Cut(shared, "/")
		for _, other := range i.claims[namespace] {
			if other != t {
				t.report(ReasonConflict, field.Invalid(field.NewPath("spec", "shared").Index(n), shared,
					fmt.Sprintf("belongs to tenant %s, and addressing cidr cannot tell it from the rest of that tenant", other.Name)))
			}
		}
	}
}

func (t *Tenant) findInvalidAddressing(config *configv1alpha1.BulkheadConfiguration) {
	path := field.NewPath("spec", "addressing")
	invalid := func(err *field.Error) { t.report(ReasonInvalidAddressing, err) }
	switch mode := t.Spec.Addressing.Mode; mode {
	case v1alpha1.AddressingCIDR:
	case v1alpha1.AddressingIdentity:
		if len(t.Spec.Addressing.CIDRs) > 0 {
			invalid(field.Forbidden(path.Child("cidrs"), "mean nothing with mode identity"))
		}
		return
	default:
		invalid(field.NotSupported(path.Child("mode"), mode,
			[]v1alpha1.AddressingMode{v1alpha1.AddressingIdentity, v1alpha1.AddressingCIDR}))
	}
	if len(t.Spec.Addressing.CIDRs) == 0 {
		invalid(field.Required(path.Child("cidrs"), "at least one"))
	}
	if len(config.Cluster.NodeCIDRs) == 0 {
		invalid(field.Forbidden(path, "the configuration's cluster.nodeCIDRs is empty: without the nodes' addresses a firewall cannot tell probes from other traffic"))
	}
	for n, text := range t.Spec.Addressing.CIDRs {
		at := path.Child("cidrs").Index(n)
		prefix, err := configv1alpha1.ParseCIDR(text)
		if err != nil {
			invalid(field.Invalid(at, text, err.Error()))
			continue
		}
		if prefix.Bits() == 0 {
			invalid(field.Invalid(at, text, "holds every address"))
		}
		if !slices.ContainsFunc(config.Cluster.TenantCIDRs, func(allTenants string) bool { return covers(allTenants, prefix) }) {
			invalid(field.Invalid(at, text, fmt.Sprintf("lies outside the configuration's cluster.tenantCIDRs %q, which other tenants' firewalls deny", config.Cluster.TenantCIDRs)))
		}
		t.Peers = append(t.Peers, prefix)
	}
}

// covers tells whether the range, which the configuration has validated, holds
// the whole prefix.
func covers(text string, prefix netip.Prefix) bool {
	outer, err := netip.ParsePrefix(text)
	return err == nil && outer.Bits() <= prefix.Bits() && outer.Contains(prefix.Addr())
}

// findOverlaps reports every range that overlaps another tenant's, each once.
// Prefixes overlap only by nesting, so in order of address and length it is enough
// to look at the ranges that are still open.
func findOverlaps(all []*Tenant) {
	type owned struct {
		netip.Prefix
		tenant   *Tenant
		reported bool
	}
	var ranges []*owned
	for _, t := range all {
		for _, prefix := range t.Peers {
			ranges = append(ranges, &owned{Prefix: prefix, tenant: t})
		}
	}
	slices.SortStableFunc(ranges, func(a, b *owned) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	report := func(a, b *owned) {
		if a.reported {
			return
		}
		a.reported = true
		n := slices.Index(a.tenant.Spec.Addressing.CIDRs, a.String())
		a.tenant.report(ReasonInvalidAddressing, field.Invalid(field.NewPath("spec", "addressing", "cidrs").Index(n), a.String(),
			fmt.Sprintf("overlaps %s of tenant %s", b.Prefix, b.tenant.Name)))
	}
	var open []*owned
	for _, next := range ranges {
		open = slices.DeleteFunc(open, func(o *owned) bool { return !o.Contains(next.Addr()) })
		for _, outer := range open {
			if outer.tenant != next.tenant {
				report(next, outer)
				report(outer, next)
			}
		}
		open = append(open, next)
	}
}
