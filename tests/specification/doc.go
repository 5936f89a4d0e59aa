// Package specification says in ten lines who may talk to whom, and evaluates the
// firewall's rules for any packet without a kernel, so that the one can be held
// against the other for every class of packet that a configuration can tell apart.
//
//	Allowed    the specification, written without a look at the rules
//	Parse      the rules, as a plan prints them, in a form that can be evaluated
//	Classes    a packet of each class
//	Generate   a configuration and a pod by chance
//
// The package's tests hold rules and specification together; those of tests/netns
// hold the evaluator itself against the kernel.
package specification
