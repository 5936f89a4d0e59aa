# METADATA
# title: Masks of /proc, restricted
# description: |
#   The default /proc masks are set up to reduce the attack surface, and are required,
#   in user namespaces too. Before v1.35 pss-proc-mount required as much.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.procMount
#   - spec.initContainers[*].securityContext.procMount
#   - spec.ephemeralContainers[*].securityContext.procMount
#
#   Allowed values: undefined/null, Default
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-restricted-proc-mount
#   severity: high
#   threat: [D6]
#   level: restricted
#   since: v1.35
#   overrides: [pss-proc-mount]
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
package rules.pod_security.restricted_proc_mount

import data.lib.pod
import data.lib.report

violations contains report.violation(container, "securityContext.procMount", report.is(value), "use Default or leave it out") if {
	some container in pod.containers
	value := container.spec.securityContext.procMount
	value != "Default"
}
