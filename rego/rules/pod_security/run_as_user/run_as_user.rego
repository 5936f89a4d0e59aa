# METADATA
# title: Running as user 0
# description: |
#   Containers must not set runAsUser to 0. Pods in a user namespace of their own are let
#   pass (since v1.35).
#
#   Restricted fields:
#   - spec.securityContext.runAsUser
#   - spec.containers[*].securityContext.runAsUser
#   - spec.initContainers[*].securityContext.runAsUser
#   - spec.ephemeralContainers[*].securityContext.runAsUser
#
#   Allowed values: undefined/null, any number but 0; any value if spec.hostUsers is false
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-run-as-user
#   severity: medium
#   threat: [D6]
#   level: restricted
#   since: v1.23
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {runAsUser: 0}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {runAsUser: 1000}
package rules.pod_security.run_as_user

import data.lib.pod
import data.lib.report

violations contains report.until(
	report.violation(context, "securityContext.runAsUser", report.is(value), "use a user other than 0, or leave it out"),
	"v1.35",
	pod.user_namespace,
) if {
	some context in pod.contexts
	value := context.spec.securityContext.runAsUser
	value == 0
}
