# METADATA
# title: Privilege escalation
# description: |
#   Privilege escalation, such as by the set-user-ID or set-group-ID file mode, must not
#   be allowed. Pods for Windows (spec.os.name) have no such field, and are let pass
#   since v1.25.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.allowPrivilegeEscalation
#   - spec.initContainers[*].securityContext.allowPrivilegeEscalation
#   - spec.ephemeralContainers[*].securityContext.allowPrivilegeEscalation
#
#   Allowed values: false
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-privilege-escalation
#   severity: medium
#   threat: [D6]
#   level: restricted
#   since: v1.8
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           image: app
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext: {allowPrivilegeEscalation: false}
package rules.pod_security.privilege_escalation

import data.lib.pod
import data.lib.report

violations contains report.until(
	report.violation(container, "securityContext.allowPrivilegeEscalation", "is not false", "set it to false"),
	"v1.25",
	pod.windows,
) if {
	some container in pod.containers
	not safe(container)
}

safe(container) if container.spec.securityContext.allowPrivilegeEscalation == false
