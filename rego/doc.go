// Package rego decides with embedded Rego rules whether a pod may be what it asks
// to be. It knows neither Kubernetes types nor tenants: the webhook brings one
// [Input] a question, and turns the [Result] into an answer.
//
// A rule is a folder, rules/<category>/<name>/, and that is all there is to it: the
// engine finds it there, and its METADATA says when it counts (see [Rule]).
// Category pod_security holds the Pod Security Standards, category firewall what protects
// the sidecar, and service_path what else leads traffic and volumes round it. Rules that
// administrators add have category custom and packages bulkhead.custom.<name>
// (custom.go, docs/adding-a-rule.md).
//
// The Pod Security Standards have versions. A control is one rule for all of them: its
// METADATA says since which version there is such a control, its violations since and
// until which they are some. So one evaluation answers for any number of levels: those
// of [Input] that enforce, warn and are only noted.
//
// What a decision depends on is known: built-ins whose result depends on anything but
// their arguments do not compile, and the document that the rules are asked about holds
// what they read and nothing else (reads.go): of what schema/input.json lists the fields
// that some rule names, and the whole object only where a custom rule reads that. The
// same document and selection of rules have the same result.
//
// The flow: [New] compiles all modules once, strictly and against the schema of their
// input. [Engine.Evaluate] selects the rules that count for the request (selection.go),
// reads the object in the shape of the schema (document.go, shape.go), asks the
// entry point main/ for the violations in one query, and compares the rules that ran
// with those selected (result.go).
//
// It fails closed: a rule that errs (also in a built-in function), a rule that did not
// run, a document of a wrong shape or an expired context is an error, and the caller
// denies.
package rego
