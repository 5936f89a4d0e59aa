# METADATA
# title: Privileged containers
# description: |
#   Privileged containers disable most security mechanisms and must be disallowed.
#   A privileged container reaches the network namespace of every other pod on its
#   node, and can flush the firewall in it.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.privileged
#   - spec.initContainers[*].securityContext.privileged
#   - spec.ephemeralContainers[*].securityContext.privileged
#
#   Allowed values: undefined/null, false
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-privileged
#   severity: critical
#   threat: [D1]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {privileged: true}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {privileged: false}
package rules.pod_security.privileged

import data.lib.pod
import data.lib.report

violations contains report.violation(container, "securityContext.privileged", report.is(value), "set it to false or leave it out") if {
	some container in pod.containers
	value := container.spec.securityContext.privileged
	value != false
}
