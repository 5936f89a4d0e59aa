package webhook

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// obstacles are what a namespace holds against every pod with a firewall (threats
// L14, L15). The API server's own plugins refuse such pods before validating webhooks
// are asked, in words that do not lead to the cause; so mutation tells of it.
type obstacles struct {
	// certain is what will refuse the pod.
	certain []rego.Violation
	// possible is what will if the cluster is set up as most are.
	possible []rego.Violation
}

func (a *Admission) obstacles(ctx context.Context, namespace string, tenant *tenants.Tenant) (obstacles, error) {
	limits, err := a.namespaces.Limits(namespace)
	if err != nil {
		return obstacles{}, fmt.Errorf("read the LimitRanges of namespace %s: %w", namespace, err)
	}
	found := obstacles{certain: a.limitObstacles(namespace, limits)}
	if a.config.PodSecurity.NamespaceLabels == configv1alpha1.NamespaceLabelsHonour {
		return found, nil // Kubernetes' own plugin is off
	}
	labels, err := a.namespaces.Labels(ctx, namespace)
	if err != nil {
		return obstacles{}, fmt.Errorf("read the labels of namespace %s: %w", namespace, err)
	}
	found.possible = labelObstacles(namespace, labels, tenant)
	return found, nil
}

// labelObstacles: PodSecurity at baseline refuses NET_ADMIN, whoever asks for it.
func labelObstacles(namespace string, labels map[string]string, tenant *tenants.Tenant) []rego.Violation {
	level, named := labels[enforceLabel]
	if !named || level == string(v1alpha1.Privileged) {
		return nil
	}
	return []rego.Violation{{
		ID: "namespace-label",
		Message: fmt.Sprintf("namespace %s has the label %s=%s: Kubernetes' own PodSecurity plugin, where it is on, refuses the firewall's NET_ADMIN",
			namespace, enforceLabel, level),
		Remedy: fmt.Sprintf("set the label to privileged, Bulkhead itself holds tenant %s to %s", tenant.Name, standardsOf(tenant.Spec.PodSecurity).enforce),
	}}
}

// limitObstacles holds the sidecar's resources, of which each has a request and a
// limit, against the namespace's LimitRanges, as the LimitRanger plugin will
// (plugin/pkg/admission/limitranger/admission.go, PodValidateLimitFunc).
func (a *Admission) limitObstacles(namespace string, limits []corev1.LimitRangeItem) []rego.Violation {
	var violations []rego.Violation
	report := func(name corev1.ResourceName, format string, args ...any) {
		violations = append(violations, rego.Violation{
			ID:      "namespace-limit-range",
			Message: fmt.Sprintf("a LimitRange of namespace %s refuses the firewall's containers: %s of %s", namespace, fmt.Sprintf(format, args...), name),
			Remedy:  "have an administrator change the LimitRange, or sidecar.resources in the configuration",
		})
	}
	resources := a.config.Sidecar.Resources
	for _, item := range limits {
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(resources.Limits)) {
			limit, request := resources.Limits[name], resources.Requests[name]
			if lowest, ok := item.Min[name]; ok && request.Cmp(lowest) < 0 {
				report(name, "request %s is less than the minimum %s", request.String(), lowest.String())
			}
			if highest, ok := item.Max[name]; ok && limit.Cmp(highest) > 0 {
				report(name, "limit %s is more than the maximum %s", limit.String(), highest.String())
			}
			if ratio, ok := item.MaxLimitRequestRatio[name]; ok && limit.AsApproximateFloat64() > ratio.AsApproximateFloat64()*request.AsApproximateFloat64() {
				report(name, "limit %s is more than %s times the request %s", limit.String(), ratio.String(), request.String())
			}
		}
	}
	return violations
}
