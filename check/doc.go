// Package check decides manifests as a cluster with Bulkhead would, without one: the
// same admission code, mutation first, with Tenants, Namespaces, LimitRanges and the
// configuration from files.
//
// It reads every document before it judges the first (read.go, split.go, object.go),
// works out under which configuration and whose terms they are judged (terms.go), asks
// the webhook's Admission about each object (judge.go), finds the lines of what it says
// (position.go), and writes the report in four forms.
//
// What it cannot see, it does not guess: who creates an object, what is in the cluster
// already, and what kinds of other people's controllers become.
package check
