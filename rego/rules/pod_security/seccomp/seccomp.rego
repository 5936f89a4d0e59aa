# METADATA
# title: Seccomp profiles
# description: |
#   If seccomp profiles are specified, only runtime default and localhost profiles are
#   allowed. The alpha annotations of before v1.19 do not count: no API server or
#   kubelet that knows native sidecars reads them.
#
#   Restricted fields:
#   - spec.securityContext.seccompProfile.type
#   - spec.containers[*].securityContext.seccompProfile.type
#   - spec.initContainers[*].securityContext.seccompProfile.type
#   - spec.ephemeralContainers[*].securityContext.seccompProfile.type
#
#   Allowed values: undefined/null, RuntimeDefault, Localhost
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-seccomp
#   severity: high
#   threat: [D6, P11]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             seccompProfile: {type: Unconfined}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             seccompProfile: {type: RuntimeDefault}
package rules.pod_security.seccomp

import data.lib.pod
import data.lib.report

violations contains report.violation(
	context,
	"securityContext.seccompProfile.type",
	report.is(object.get(profile, "type", "")),
	"use RuntimeDefault or Localhost, or leave the profile out",
) if {
	some context in pod.contexts
	profile := context.spec.securityContext.seccompProfile
	not safe(profile)
}

safe(profile) if profile.type in {"RuntimeDefault", "Localhost"}
