// Package rego decides with embedded Rego rules whether a pod may be what it asks
// to be. It knows neither Kubernetes types nor tenants: the webhook brings one
// [Input] document a question, and turns the [Result] into an answer.
//
// A rule is a folder, rules/<category>/<name>/, and that is all there is to it: the
// engine finds it there, and its METADATA says when it counts (see [Rule]).
// Category pod_security holds the Pod Security Standards at their latest version,
// category firewall what protects the sidecar.
//
// The flow: [New] compiles all modules once, strictly. [Engine.Evaluate] selects
// the rules that count for the request, asks the entry point main/ for their
// violations in one query, and compares the rules that ran with those selected.
// It fails closed: a rule that errs (also in a built-in function), a rule that did
// not run, a malformed document or an expired context is an error, and the caller
// denies.
package rego
