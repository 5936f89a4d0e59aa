// Package verify proves on a live cluster that Bulkhead holds. It makes two tenants that are thrown away afterwards,
// lets each attack the other by the ways of docs/threat-model.md, and reports what was seen. It is what is behind
// `bulkhead verify`; docs/verify.md tells a person how to use it.
//
// A check is a script of what the tenants do, for a cluster with Bulkhead and for one without. Without, in baseline
// mode, every attack has to work: a check that cannot fail proves nothing. For the same reason nothing that does not
// get through counts as blocked on its own: in the same run a control must get through that differs in one thing, whose
// pod asks, or the sender's kernel must say that it was its own firewall. A check whose controls fail, and one that
// could not be made at all, is unknown, and fails the run.
//
// The flow: Run looks whether it may (rights.go), makes namespaces, Tenants and pods (lifecycle.go, pods.go), plays
// the checks (checks.go lists them, play_*.go are their scripts), and takes everything away again, whatever happened.
package verify
