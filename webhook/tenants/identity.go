package tenants

import (
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// The reasons for which tenants with addressing identity cannot be served, as the
// condition Ready gives them.
const (
	// ReasonNoFeed: there is no feed, from which alone their firewalls learn of peers.
	ReasonNoFeed = "NoFeed"
	// ReasonUnknownClusterRanges: neither the configuration nor the cluster tells
	// which addresses are the cluster's.
	ReasonUnknownClusterRanges = "UnknownClusterRanges"
)

// Identity says why no tenant with addressing identity can be served now, nil if they
// can. Unlike a Tenant's own problems it changes with the cluster, so it is asked at
// each review, and no Tenant is refused for it. A nil Identity is NoFeed.
type Identity func() *Problem

// NoFeed is the Identity where there is no feed.
func NoFeed() *Problem {
	return &Problem{ReasonNoFeed, field.Forbidden(modePath(),
		"identity needs the feed, which is off: set the chart's value feed.enabled (the flag --feed-service), or use mode cidr")}
}

// UnknownRanges is what an Identity says where the cluster's ranges are not known. The
// error names what to configure.
func UnknownRanges(err error) *Problem {
	return &Problem{ReasonUnknownClusterRanges, field.Forbidden(modePath(), err.Error())}
}

func modePath() *field.Path { return field.NewPath("spec", "addressing", "mode") }

// Unready says why pods of the tenant cannot be admitted now: its problems, and that of
// its addressing.
func (t *Tenant) Unready(identity Identity) []Problem {
	if t.Spec.Addressing.Mode != v1alpha1.AddressingIdentity {
		return t.Problems
	}
	if identity == nil {
		identity = NoFeed
	}
	problem := identity()
	if problem == nil {
		return t.Problems
	}
	return append(t.Problems[:len(t.Problems):len(t.Problems)], *problem)
}
