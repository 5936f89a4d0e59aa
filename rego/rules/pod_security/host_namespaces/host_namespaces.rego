# METADATA
# title: Host namespaces
# description: |
#   Sharing the host's network, PID and IPC namespaces must be disallowed.
#
#   Restricted fields:
#   - spec.hostNetwork
#   - spec.hostPID
#   - spec.hostIPC
#
#   Allowed values: undefined/null, false
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-host-namespaces
#   severity: critical
#   threat: [D1, D4]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       hostPID: true
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       hostPID: false
#       containers:
#         - name: app
package rules.pod_security.host_namespaces

import data.lib.pod
import data.lib.report

violations contains report.violation(
	pod.itself,
	field,
	concat(": ", [report.is(value), "host namespaces must not be shared"]),
	"set it to false or leave it out",
) if {
	some field in ["hostNetwork", "hostPID", "hostIPC"]
	value := input.object.spec[field]
	value != false
}
