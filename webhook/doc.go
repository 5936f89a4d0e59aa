// Package webhook answers AdmissionReviews: /mutate puts the firewall into the
// pods of tenants, /validate refuses what could undo it or breaks the tenant's
// level of the Pod Security Standards.
//
// The way of a request: NewHandler's filters (limits, deadlines, the caller's
// certificate), review.go (bytes to request), admit.go (exempt? whose tenant?),
// then mutate.go (the ordered mutations, one JSON patch) or validate.go (rego's
// answer), and response.go. Only admit.go reads the cluster's state.
//
// Everything fails closed: the zero decision is a denial, and what cannot be read,
// found or decided in time is denied with the reason. Validation trusts nothing
// that mutation did; it computes the expected sidecar again.
package webhook
