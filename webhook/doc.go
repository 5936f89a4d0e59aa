// Package webhook answers AdmissionReviews: /mutate puts the firewall into the
// pods of tenants, /validate refuses what could undo it, what breaks the tenant's
// level of the Pod Security Standards, and what leads a Service's traffic past it.
//
// The way of a request: NewHandler's filters (limits, deadlines, the caller's
// certificate), review.go (bytes to request), route.go and kinds.go (who answers
// it), admit.go (exempt? on whose terms?), then mutate.go (the ordered mutations, one
// JSON patch) or validate*.go and judge.go (rego's answer), decide.go, and
// response.go. Only admit.go and obstacles.go read the cluster's state. Check asks
// the same of an object without a request.
//
// Everything fails closed: the zero decision is a denial, and what cannot be read,
// found or decided in time is denied with the reason. Validation trusts nothing
// that mutation did; it computes the expected sidecar again.
package webhook
