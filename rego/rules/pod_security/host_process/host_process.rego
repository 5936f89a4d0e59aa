# METADATA
# title: Windows HostProcess
# description: |
#   Windows pods can run HostProcess containers, which gives them the host's own
#   rights. HostProcess pods must be disallowed.
#
#   Restricted fields:
#   - spec.securityContext.windowsOptions.hostProcess
#   - spec.containers[*].securityContext.windowsOptions.hostProcess
#   - spec.initContainers[*].securityContext.windowsOptions.hostProcess
#   - spec.ephemeralContainers[*].securityContext.windowsOptions.hostProcess
#
#   Allowed values: undefined/null, false
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-host-process
#   severity: critical
#   threat: [D6]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       securityContext:
#         windowsOptions: {hostProcess: true}
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       securityContext:
#         windowsOptions: {runAsUserName: ContainerUser}
#       containers:
#         - name: app
package rules.pod_security.host_process

import data.lib.pod
import data.lib.report

violations contains report.violation(context, "securityContext.windowsOptions.hostProcess", report.is(value), "set it to false or leave it out") if {
	some context in pod.contexts
	value := context.spec.securityContext.windowsOptions.hostProcess
	value != false
}
