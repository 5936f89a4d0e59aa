package webhook

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
)

const netRaw corev1.Capability = "NET_RAW"

// dropNetRaw makes every container of the tenant drop NET_RAW, which runtimes
// grant by default: a packet socket sends past the firewall, and reads before it
// (threat P2). A container of the sidecar needs it and keeps it.
func dropNetRaw(e *edit) {
	for i := range e.pod.Spec.InitContainers {
		container := &e.pod.Spec.InitContainers[i]
		if !isReserved(container.Name) {
			container.SecurityContext = e.withoutNetRaw(fmt.Sprintf("/spec/initContainers/%d", i), container.SecurityContext)
		}
	}
	for i := range e.pod.Spec.Containers {
		container := &e.pod.Spec.Containers[i]
		container.SecurityContext = e.withoutNetRaw(fmt.Sprintf("/spec/containers/%d", i), container.SecurityContext)
	}
}

// dropNetRawOfNew does so for the ephemeral containers that an update adds; those
// that are there cannot be changed (threat D7).
func dropNetRawOfNew(old *corev1.Pod) mutation {
	there := sets.New[string]()
	for i := range old.Spec.EphemeralContainers {
		there.Insert(old.Spec.EphemeralContainers[i].Name)
	}
	return func(e *edit) {
		for i := range e.pod.Spec.EphemeralContainers {
			container := &e.pod.Spec.EphemeralContainers[i]
			if !there.Has(container.Name) {
				container.SecurityContext = e.withoutNetRaw(fmt.Sprintf("/spec/ephemeralContainers/%d", i), container.SecurityContext)
			}
		}
	}
}

// withoutNetRaw returns the security context of the container at path, changed so
// that it drops NET_RAW. Only the spellings that rego/rules/firewall/net_raw
// accepts count as dropped.
func (e *edit) withoutNetRaw(path string, context *corev1.SecurityContext) *corev1.SecurityContext {
	path += "/securityContext"
	drop := []corev1.Capability{netRaw}
	switch {
	case context == nil:
		context = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: drop}}
		e.add(path, context.DeepCopy())
	case context.Capabilities == nil:
		context.Capabilities = &corev1.Capabilities{Drop: drop}
		e.add(path+"/capabilities", context.Capabilities.DeepCopy())
	case len(context.Capabilities.Drop) == 0:
		context.Capabilities.Drop = drop
		e.add(path+"/capabilities/drop", drop)
	case !slices.Contains(context.Capabilities.Drop, netRaw) && !slices.Contains(context.Capabilities.Drop, "ALL"):
		context.Capabilities.Drop = append(context.Capabilities.Drop, netRaw)
		e.add(path+"/capabilities/drop/-", netRaw)
	}
	return context
}
