# METADATA
# title: Seccomp profiles, restricted
# description: |
#   A seccomp profile must be set, and only runtime default and localhost profiles are
#   allowed. A container may leave it out where the pod sets an allowed one. Pods for
#   Windows (spec.os.name) have no such field, and are let pass since v1.25.
#
#   Restricted fields:
#   - spec.securityContext.seccompProfile.type
#   - spec.containers[*].securityContext.seccompProfile.type
#   - spec.initContainers[*].securityContext.seccompProfile.type
#   - spec.ephemeralContainers[*].securityContext.seccompProfile.type
#
#   Allowed values: RuntimeDefault, Localhost; undefined/null in a container where the
#   pod's is one of them
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-restricted-seccomp
#   severity: medium
#   threat: [D6, P11]
#   level: restricted
#   since: v1.19
#   overrides: [pss-seccomp]
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           image: app
#   prefer: |
#     kind: Pod
#     spec:
#       securityContext:
#         seccompProfile: {type: RuntimeDefault}
#       containers:
#         - name: app
package rules.pod_security.restricted_seccomp

import data.lib.pod
import data.lib.report

# Set, and not to an allowed type.
violations contains report.until(
	report.violation(
		context,
		"securityContext.seccompProfile.type",
		report.is(object.get(profile, "type", "")),
		"use RuntimeDefault or Localhost",
	),
	"v1.25",
	pod.windows,
) if {
	some context in pod.contexts
	profile := context.spec.securityContext.seccompProfile
	not safe(profile)
}

# Set neither in the container nor in the pod.
violations contains report.until(
	report.violation(
		container,
		"securityContext.seccompProfile",
		"is set neither here nor in the pod's securityContext",
		"use RuntimeDefault or Localhost in one of them",
	),
	"v1.25",
	pod.windows,
) if {
	not pod_sets
	some container in pod.containers
	not sets(container)
}

safe(profile) if profile.type in {"RuntimeDefault", "Localhost"}

pod_sets if sets(pod.itself)

sets(context) if context.spec.securityContext.seccompProfile
