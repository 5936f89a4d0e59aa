// Package peers knows who belongs to whom: which addresses the pods of a namespace may
// talk to, now, and what changes of it. It knows no Kubernetes types and no network;
// package feed tells it what the API server says, and tells sidecars what it answers.
//
// A Store holds the pods, Services and Tenants. An address has at most one holder: the
// pod that claimed it last, or the Service whose it is. Every change goes the same way
// (change.go): where were the addresses told that it concerns, where are they told now
// (audience.go)? The difference is a delta for each namespace that somebody listens to,
// encoded once (view.go). So nothing is kept for a view but its version.
//
// An address that changes hands (tombs.go, threat S7) is first withdrawn from everybody
// who had it, and told to nobody before all of them have let go of it or their leases
// are over.
package peers
