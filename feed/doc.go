// Package feed is the server that sidecars talk to, on a port of its own in
// bulkhead-webhook. Package protocol says what is spoken.
//
// The way of a request: limits.go (how many, from whom), authenticate.go (whose pod
// is it? TokenReview), the tenant of the pod's namespace, the pod's own rate, and
// then report.go, which counts and raises Events, or streams.go, which makes a stream
// (stream.go) of the connection: package peers says what is told on it. Nobody is answered without a
// token of this audience, bound to a pod of a tenant; the answer and the effect
// concern that pod alone. What a report says is the tenant's word, and bounded.
package feed
