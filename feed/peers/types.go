package peers

import (
	"net/netip"
	"time"
	"unique"
)

// Pod is what counts of a pod. Pods in their node's network are none here: they have no
// address of their own.
type Pod struct {
	Namespace, Name, UID string
	Created              time.Time
	// Addresses as the API server shows them.
	Addresses []netip.Addr
	Labels    Labels
	// Ports are the containers' named ones.
	Ports []NamedPort
	// Scheduled pods may run.
	Scheduled bool
	// Listens tells pods with a sidecar: others know nothing from here.
	Listens bool
	// Ended: nothing of it runs any more, nor will.
	Ended bool
	// Deadline is when a pod that is being deleted has ended; zero: it is not.
	Deadline time.Time
}

// NamedPort is a container's port that has a name.
type NamedPort struct {
	Name     unique.Handle[string]
	Protocol string // one of protocol.Protocols
	Port     uint16
}

// Service is what counts of a Service.
type Service struct {
	Namespace, Name string
	// Addresses are its ClusterIPs.
	Addresses []netip.Addr
	// External are its load balancers' and its external addresses.
	External []netip.Addr
	// Selector selects pods by their labels; empty: none.
	Selector Labels
	Ports    []TargetPort
}

// TargetPort is a port of a Service's backends, by number or, where that is 0, by name.
type TargetPort struct {
	Protocol string
	Port     uint16
	Name     unique.Handle[string]
}

// Tenant is what counts of a Tenant.
type Tenant struct {
	Name       string
	Namespaces []string
	// Shared are namespaces, or services as namespace/service.
	Shared []string
	// Public are services as namespace/service.
	Public []string
	// Identity tells tenants whose pods have their peers from here.
	Identity bool
}

// Label is a label of a pod, or what a selector wants. There are many equal ones.
type Label struct{ Key, Value unique.Handle[string] }

// Labels are few.
type Labels []Label

// NewLabels keeps labels.
func NewLabels(labels map[string]string) Labels {
	if len(labels) == 0 {
		return nil
	}
	kept := make(Labels, 0, len(labels))
	for key, value := range labels {
		kept = append(kept, Label{unique.Make(key), unique.Make(value)})
	}
	return kept
}

// selects tells whether labels satisfy the selector. The empty one selects nothing.
func (selector Labels) selects(labels Labels) bool {
	for _, wanted := range selector {
		if !contains(labels, wanted) {
			return false
		}
	}
	return len(selector) > 0
}

func contains(labels Labels, wanted Label) bool {
	for _, label := range labels {
		if label == wanted {
			return true
		}
	}
	return false
}

// equal compares as sets; keys are there once.
func (selector Labels) equal(other Labels) bool {
	if len(selector) != len(other) {
		return false
	}
	for _, label := range selector {
		if !contains(other, label) {
			return false
		}
	}
	return true
}
