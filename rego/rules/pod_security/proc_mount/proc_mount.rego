# METADATA
# title: Masks of /proc
# description: |
#   The default /proc masks are set up to reduce the attack surface, and are required
#   unless the pod is in a user namespace of its own (since v1.35).
#
#   Restricted fields:
#   - spec.containers[*].securityContext.procMount
#   - spec.initContainers[*].securityContext.procMount
#   - spec.ephemeralContainers[*].securityContext.procMount
#
#   Allowed values: undefined/null, Default; any value if spec.hostUsers is false
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-proc-mount
#   severity: high
#   threat: [D6]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {procMount: Unmasked}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {procMount: Default}
package rules.pod_security.proc_mount

import data.lib.pod
import data.lib.report

violations contains report.until(
	report.violation(container, "securityContext.procMount", report.is(value), "use Default or leave it out"),
	"v1.35",
	pod.user_namespace,
) if {
	some container in pod.containers
	value := container.spec.securityContext.procMount
	value != "Default"
}
