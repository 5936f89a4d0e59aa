# METADATA
# title: Host ports
# description: |
#   Host ports must be disallowed.
#
#   Restricted fields:
#   - spec.containers[*].ports[*].hostPort
#   - spec.initContainers[*].ports[*].hostPort
#   - spec.ephemeralContainers[*].ports[*].hostPort
#
#   Allowed values: undefined/null, 0
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-host-ports
#   severity: high
#   threat: [D4]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           ports:
#             - {containerPort: 80, hostPort: 80}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           ports:
#             - {containerPort: 80}
package rules.pod_security.host_ports

import data.lib.pod
import data.lib.report

violations contains report.violation(
	container,
	sprintf("ports[%d].hostPort", [index]),
	report.is(port.hostPort),
	"leave it out, and use a Service to reach the pod from outside",
) if {
	some container in pod.containers
	some index, port in container.spec.ports
	port.hostPort != 0
}
