// Package tenants knows who owns which namespace.
//
// An Index is computed from all Tenants at once and never changes: the owner of a
// namespace, the effective settings of a tenant (its own, then the
// configuration's), and the problems that only show when all are looked at, such
// as a namespace that two claim. A tenant with problems is not enforceable: its
// pods are refused with the problem as the reason, rather than given a firewall
// that may be wrong.
//
// Cluster keeps an Index up to date from the API server and reads it live for a
// namespace that nobody owns, so that a Tenant counts from the moment it is
// stored. Static is an Index from a folder of manifests. StatusController writes
// what is known into the Tenants' status; the elected leader runs it.
package tenants
