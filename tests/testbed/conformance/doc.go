// Package conformance plays the suite of Kubernetes' own PodSecurity plugin
// (k8s.io/pod-security-admission/test) against a real API server in which that plugin is disabled, and Bulkhead stands
// in its place. It has no code but its test; what needs no cluster is in tests/conformance.
package conformance
