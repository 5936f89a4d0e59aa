// Package v1alpha1 holds the API group bulkhead.dev/v1alpha1: the Tenant, a
// cluster-scoped object that owns a set of namespaces by their immutable names.
//
// Tenancy hangs on namespace names and not on labels, because a tenant may be
// able to edit the labels of its own namespaces (threat L11).
//
// The CRD is generated from these types (make generate) into
// charts/bulkhead/crds; it validates whatever one object can tell by OpenAPI and
// CEL. What needs other objects, a namespace in two tenants for example, is the
// webhook's business.
//
// +kubebuilder:object:generate=true
// +groupName=bulkhead.dev
package v1alpha1
