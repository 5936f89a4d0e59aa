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

// Input is one question: what selects the rules, and what they look at.
type Input struct {
	Request Request
	// Object is the Pod, or for CONNECT the PodExecOptions or PodAttachOptions,
	// as JSON.
	Object json.RawMessage
	// OldObject is the Pod as it was; UPDATE only.
	OldObject json.RawMessage
	// Level says which rules of the Pod Security Standards count: Privileged,
	// Baseline or Restricted.
	Level string
	// Sidecar is what the pod must carry; nil where the namespace has no tenant.
	Sidecar *Sidecar
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
