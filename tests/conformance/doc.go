// Package conformance compares Bulkhead with k8s.io/pod-security-admission, which
// decides in clusters that have no Bulkhead. It has no code but its tests:
//
//   - fixtures_test.go plays that module's own cases, at every version, against the
//     rules and through the webhook's handler;
//   - differential_test.go generates pods, and wants the same answer of both to every
//     one of them, control by control. `go test ./tests/conformance -run Differential
//     -pods 1000000 -v` is the long run (make fuzz); what it prints plays a pod again.
//
// That module's suite against a real API server is in tests/testbed.
package conformance
