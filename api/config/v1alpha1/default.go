package v1alpha1

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// DefaultLease is the lease where the configuration names none.
const DefaultLease = 15 * time.Second

// SetDefaults fills in what the file leaves out. It changes nothing that is set,
// but rounds resources up to thousandths as the API server does: the sidecar of
// an admitted pod is compared with what we inject.
func SetDefaults(c *BulkheadConfiguration) {
	setDefault(&c.Unassigned, UnassignedWarn)
	setDefault(&c.PodSecurity.Enforce, bulkheadv1alpha1.Baseline)
	setDefault(&c.PodSecurity.EnforceVersion, bulkheadv1alpha1.VersionLatest)
	setDefault(&c.PodSecurity.Warn, bulkheadv1alpha1.Restricted)
	setDefault(&c.PodSecurity.WarnVersion, bulkheadv1alpha1.VersionLatest)
	setDefault(&c.PodSecurity.Audit, bulkheadv1alpha1.Restricted)
	setDefault(&c.PodSecurity.AuditVersion, bulkheadv1alpha1.VersionLatest)
	setDefault(&c.PodSecurity.NamespaceLabels, NamespaceLabelsIgnore)
	setDefault(&c.WorkloadTemplates, WorkloadTemplatesWarn)
	setDefault(&c.Identity.Lease, metav1.Duration{Duration: DefaultLease})
	setDefault(&c.Identity.WhenFeedGone, WhenFeedGoneKeep)
	if c.Shared == nil { // an empty list shares nothing
		c.Shared = []string{"kube-system/kube-dns", "default/kubernetes"}
	}
	setDefault(&c.Sidecar.ImagePullPolicy, corev1.PullIfNotPresent)
	defaultResources(&c.Sidecar.Resources)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// defaultResources sets requests and limits of every resource that a LimitRange
// may default (threat L15). A default gives way to the half that is set: a default
// request is at most the limit, a default limit at least the request.
func defaultResources(r *corev1.ResourceRequirements) {
	if r.Requests == nil {
		r.Requests = corev1.ResourceList{}
	}
	if r.Limits == nil {
		r.Limits = corev1.ResourceList{}
	}
	for _, list := range []corev1.ResourceList{r.Requests, r.Limits} {
		for name, quantity := range list {
			quantity.RoundUp(resource.Milli)
			list[name] = quantity
		}
	}
	for _, d := range []struct {
		name           corev1.ResourceName
		request, limit resource.Quantity
	}{
		{corev1.ResourceCPU, resource.MustParse("10m"), resource.MustParse("1")},
		{corev1.ResourceMemory, resource.MustParse("32Mi"), resource.MustParse("64Mi")},
		{corev1.ResourceEphemeralStorage, resource.MustParse("8Mi"), resource.MustParse("8Mi")},
	} {
		request, requested := r.Requests[d.name]
		limit, limited := r.Limits[d.name]
		if !requested {
			request = d.request
			if limited && limit.Cmp(request) < 0 {
				request = limit
			}
			r.Requests[d.name] = request
		}
		if !limited {
			limit = d.limit
			if request.Cmp(limit) > 0 {
				limit = request
			}
			r.Limits[d.name] = limit
		}
	}
}
