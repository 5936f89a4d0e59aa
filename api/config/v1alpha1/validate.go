package v1alpha1

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// Validate says all that is wrong with a defaulted configuration.
func Validate(c *BulkheadConfiguration) field.ErrorList {
	var errs field.ErrorList
	if c.APIVersion != APIVersion {
		errs = append(errs, field.NotSupported(field.NewPath("apiVersion"), c.APIVersion, []string{APIVersion}))
	}
	if c.Kind != Kind {
		errs = append(errs, field.NotSupported(field.NewPath("kind"), c.Kind, []string{Kind}))
	}
	exempt := field.NewPath("exempt")
	errs = append(errs, each(exempt.Child("namespaces"), c.Exempt.Namespaces, validation.IsDNS1123Label)...)
	errs = append(errs, each(exempt.Child("users"), c.Exempt.Users, notEmpty)...)
	errs = append(errs, each(exempt.Child("runtimeClasses"), c.Exempt.RuntimeClasses, validation.IsDNS1123Subdomain)...)
	administrators := field.NewPath("administrators")
	errs = append(errs, each(administrators.Child("groups"), c.Administrators.Groups, notEmpty)...)
	errs = append(errs, each(administrators.Child("users"), c.Administrators.Users, notEmpty)...)
	errs = append(errs, oneOf(field.NewPath("unassigned"), c.Unassigned, UnassignedWarn, UnassignedEnforce, UnassignedIgnore)...)
	errs = append(errs, validatePodSecurity(field.NewPath("podSecurity"), c.PodSecurity)...)
	errs = append(errs, oneOf(field.NewPath("workloadTemplates"), c.WorkloadTemplates,
		WorkloadTemplatesIgnore, WorkloadTemplatesWarn, WorkloadTemplatesEnforce)...)
	errs = append(errs, validateCluster(field.NewPath("cluster"), c.Cluster)...)
	errs = append(errs, each(field.NewPath("shared"), c.Shared, isShared)...)
	errs = append(errs, validateIdentity(field.NewPath("identity"), c.Identity)...)
	errs = append(errs, validateSidecar(field.NewPath("sidecar"), c.Sidecar)...)
	return errs
}

// validatePodSecurity refuses to enforce level privileged: a Tenant may leave its
// level to the configuration, and there is no privileged tenant.
func validatePodSecurity(path *field.Path, p PodSecurity) field.ErrorList {
	errs := slices.Concat(
		oneOf(path.Child("enforce"), p.Enforce, bulkheadv1alpha1.Baseline, bulkheadv1alpha1.Restricted),
		oneOf(path.Child("warn"), p.Warn, bulkheadv1alpha1.Privileged, bulkheadv1alpha1.Baseline, bulkheadv1alpha1.Restricted),
		oneOf(path.Child("audit"), p.Audit, bulkheadv1alpha1.Privileged, bulkheadv1alpha1.Baseline, bulkheadv1alpha1.Restricted),
		oneOf(path.Child("namespaceLabels"), p.NamespaceLabels, NamespaceLabelsIgnore, NamespaceLabelsHonour),
	)
	for name, version := range map[string]string{
		"enforceVersion": p.EnforceVersion, "warnVersion": p.WarnVersion, "auditVersion": p.AuditVersion,
	} {
		if _, err := bulkheadv1alpha1.ParseVersion(version); err != nil {
			errs = append(errs, field.Invalid(path.Child(name), version, err.Error()))
		}
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return errs
}

// validateCluster wants canonical ranges, and keeps apart what the firewall treats
// differently: an address that is a tenant's and a node's would be both peer and
// denied. Pod ranges may hold tenant ranges (IP pools), and node ranges where pods
// and nodes share subnets.
func validateCluster(path *field.Path, c Cluster) field.ErrorList {
	pods, podErrs := validateCIDRs(path.Child("podCIDRs"), c.PodCIDRs)
	services, serviceErrs := validateCIDRs(path.Child("serviceCIDRs"), c.ServiceCIDRs)
	nodes, nodeErrs := validateCIDRs(path.Child("nodeCIDRs"), c.NodeCIDRs)
	tenants, tenantErrs := validateCIDRs(path.Child("tenantCIDRs"), c.TenantCIDRs)
	return slices.Concat(podErrs, serviceErrs, nodeErrs, tenantErrs,
		disjoint(path, "serviceCIDRs", services, "podCIDRs", pods),
		disjoint(path, "serviceCIDRs", services, "nodeCIDRs", nodes),
		disjoint(path, "tenantCIDRs", tenants, "serviceCIDRs", services),
		disjoint(path, "tenantCIDRs", tenants, "nodeCIDRs", nodes),
	)
}

// validateCIDRs parses what it can. An unusable range is the zero Prefix, which
// overlaps nothing, so that indexes stay those of the list.
func validateCIDRs(path *field.Path, cidrs []string) ([]netip.Prefix, field.ErrorList) {
	var errs field.ErrorList
	prefixes := make([]netip.Prefix, len(cidrs))
	for i, text := range cidrs {
		prefix, err := ParseCIDR(text)
		if err != nil {
			errs = append(errs, field.Invalid(path.Index(i), text, err.Error()))
			continue
		}
		if slices.Contains(prefixes[:i], prefix) {
			errs = append(errs, field.Duplicate(path.Index(i), text))
		}
		prefixes[i] = prefix
	}
	return prefixes, errs
}

func disjoint(path *field.Path, name string, prefixes []netip.Prefix, otherName string, others []netip.Prefix) field.ErrorList {
	var errs field.ErrorList
	for i, prefix := range prefixes {
		for j, other := range others {
			if prefix.Overlaps(other) {
				errs = append(errs, field.Invalid(path.Child(name).Index(i), prefix.String(),
					"overlaps "+path.Child(otherName).Index(j).String()+" "+other.String()))
			}
		}
	}
	return errs
}

// The bounds of a lease: a shorter one ends at every hiccup of the network, and a
// longer one keeps a dead webhook's word for too long.
const (
	minLease = 3 * time.Second
	maxLease = 10 * time.Minute
)

func validateIdentity(path *field.Path, i Identity) field.ErrorList {
	errs := oneOf(path.Child("whenFeedGone"), i.WhenFeedGone, WhenFeedGoneKeep, WhenFeedGoneClose)
	if lease := i.Lease.Duration; lease < minLease || lease > maxLease {
		errs = append(errs, field.Invalid(path.Child("lease"), lease.String(),
			fmt.Sprintf("must be %s to %s", minLease, maxLease)))
	}
	return errs
}

func validateSidecar(path *field.Path, s Sidecar) field.ErrorList {
	var errs field.ErrorList
	if s.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), "the image of the injected containers"))
	} else if _, err := name.ParseReference(s.Image); err != nil {
		errs = append(errs, field.Invalid(path.Child("image"), s.Image, err.Error()))
	}
	errs = append(errs, oneOf(path.Child("imagePullPolicy"), s.ImagePullPolicy,
		corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	return append(errs, validateResources(path.Child("resources"), s.Resources)...)
}

func validateResources(path *field.Path, r corev1.ResourceRequirements) field.ErrorList {
	var errs field.ErrorList
	if len(r.Claims) > 0 {
		errs = append(errs, field.Forbidden(path.Child("claims"), "the sidecar uses no devices"))
	}
	for _, half := range []struct {
		name string
		list corev1.ResourceList
	}{{"requests", r.Requests}, {"limits", r.Limits}} {
		for resourceName, quantity := range half.list {
			at := path.Child(half.name).Key(string(resourceName))
			errs = append(errs, oneOf(at, resourceName, corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage)...)
			if quantity.Sign() <= 0 {
				errs = append(errs, field.Invalid(at, quantity.String(), "must be more than 0"))
			}
		}
	}
	for resourceName, request := range r.Requests {
		if limit, limited := r.Limits[resourceName]; limited && request.Cmp(limit) > 0 {
			errs = append(errs, field.Invalid(path.Child("requests").Key(string(resourceName)), request.String(),
				"is more than the limit "+limit.String()))
		}
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}
