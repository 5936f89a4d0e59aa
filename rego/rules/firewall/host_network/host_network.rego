# METADATA
# title: Host network
# description: |
#   In a pod on the host's network the sidecar would write the node's own firewall. The
#   Pod Security Standards refuse such pods from baseline on; this rule does so at level
#   privileged too.
#
#   Restricted fields:
#   - spec.hostNetwork
#
#   Allowed values: undefined/null, false
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: fw-host-network
#   severity: critical
#   threat: [D4]
#   avoid: |
#     kind: Pod
#     spec:
#       hostNetwork: true
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       hostNetwork: false
#       containers:
#         - name: app
package rules.firewall.host_network

import data.lib.pod
import data.lib.report

violations contains report.violation(pod.itself, "hostNetwork", report.is(value), "set it to false or leave it out, or run the pod in a namespace without a tenant") if {
	value := input.object.spec.hostNetwork
	value != false
}
