// Package rego decides with embedded Rego rules whether a pod may be what it asks
// to be. It knows neither Kubernetes types nor tenants: the webhook brings one
// [Input] a question, and turns the [Result] into an answer.
//
// A rule is a folder, rules/<category>/<name>/, and that is all there is to it: the
// engine finds it there, and its METADATA says when it counts (see [Rule]).
// Category pod_security holds the Pod Security Standards at their latest version,
// category firewall what protects the sidecar.
//
// The flow: [New] compiles all modules once, strictly and against the schema of their
// input. [Engine.Evaluate] selects the rules that count for the request (selection.go),
// brings the object into the shape of the schema (document.go, shape.go), asks the
// entry point main/ for the violations in one query, and compares the rules that ran
// with those selected (result.go).
//
// It fails closed: a rule that errs (also in a built-in function), a rule that did not
// run, a document of a wrong shape or an expired context is an error, and the caller
// denies.
package rego
