package rego

import "encoding/json"

// The operations that rules know. DELETE is never routed to the webhook.
const (
	Create  = "CREATE"
	Update  = "UPDATE"
	Connect = "CONNECT"
)

// The levels of the Pod Security Standards.
const (
	Privileged = "privileged"
	Baseline   = "baseline"
	Restricted = "restricted"
)

// Latest is the newest version of the Pod Security Standards that the rules know.
const Latest = "latest"

// Input is one question: what selects the rules, and what they look at.
type Input struct {
	Request Request
	// Object is the object of Request.Resource, or for CONNECT the PodExecOptions
	// or PodAttachOptions, as JSON.
	Object json.RawMessage
	// OldObject is the Pod as it was; UPDATE of pods only.
	OldObject json.RawMessage
	// Enforce says which rules of the Pod Security Standards count for
	// [Result.Violations].
	Enforce Level
	// Warn and Audit do so for [Result.Warnings] and [Result.Audit]; their zero
	// value asks for neither.
	Warn, Audit Level
	// Sidecar is what a pod must carry; nil where the namespace has no tenant.
	Sidecar *Sidecar
	// Tenant owns the object's namespace; nil: nobody does. Rules that count in
	// tenants' namespaces only do so if it or Sidecar is there.
	Tenant *Tenant
	// Cluster are the cluster's address ranges.
	Cluster Cluster
}

// Level is a level of the Pod Security Standards as they were in a version of
// Kubernetes.
type Level struct {
	// Name is Privileged, Baseline or Restricted.
	Name string
	// Version is Latest or "v1.N". One newer than the newest known is taken for it,
	// as k8s.io/pod-security-admission does.
	Version string
}

// Request is what the rules may know of the admission request.
type Request struct {
	Operation   string
	Resource    string
	Subresource string
	Namespace   string
	Name        string
	User        User
}

// User is who asks.
type User struct {
	Name   string
	Groups []string
}

// Sidecar holds what the configuration injects, as JSON.
type Sidecar struct {
	// Init and Firewall are the containers at initContainers[0] and [1].
	Init     json.RawMessage
	Firewall json.RawMessage
	// Volume is the volume that Firewall mounts; nil where none is injected.
	Volume json.RawMessage
}

// Tenant is what the rules may know of the owner of a namespace.
type Tenant struct {
	Name       string
	Namespaces []string
	// CIDRs are the addresses of its pods; with addressing identity, those of the
	// object's addresses that its pods hold.
	CIDRs []string
	// External says that its pods may reach addresses outside the cluster.
	External bool
	// Networks are those that its pods may ask for by annotation, as
	// <namespace>/<name>.
	Networks []string
}

// Cluster are address ranges, as CIDRs.
type Cluster struct {
	PodCIDRs     []string
	ServiceCIDRs []string
	NodeCIDRs    []string
	// TenantCIDRs are those that all tenants' ranges lie in, and those of the object's
	// addresses that lead to another tenant from outside the cluster.
	TenantCIDRs []string
}
