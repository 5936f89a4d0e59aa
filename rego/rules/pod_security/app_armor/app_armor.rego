# METADATA
# title: AppArmor profiles
# description: |
#   On hosts that support it the RuntimeDefault AppArmor profile is applied by default.
#   Overriding or disabling it must be prevented, but for an allowed set of profiles.
#
#   Restricted fields:
#   - spec.securityContext.appArmorProfile.type
#   - spec.containers[*].securityContext.appArmorProfile.type
#   - spec.initContainers[*].securityContext.appArmorProfile.type
#   - spec.ephemeralContainers[*].securityContext.appArmorProfile.type
#
#   Allowed values: undefined/null, RuntimeDefault, Localhost
#
#   Restricted fields:
#   - metadata.annotations["container.apparmor.security.beta.kubernetes.io/*"]
#
#   Allowed values: undefined/null, "", runtime/default, localhost/*
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-app-armor
#   severity: high
#   threat: [D6]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             appArmorProfile: {type: Unconfined}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             appArmorProfile: {type: RuntimeDefault}
package rules.pod_security.app_armor

import data.lib.pod
import data.lib.report

violations contains report.violation(
	context,
	"securityContext.appArmorProfile.type",
	concat(", ", [report.is(object.get(profile, "type", "")), "a forbidden AppArmor profile"]),
	"use RuntimeDefault or Localhost, or leave the profile out",
) if {
	some context in pod.contexts
	profile := context.spec.securityContext.appArmorProfile
	not safe(profile)
}

violations contains report.violation(
	pod.metadata,
	sprintf("annotations[%q]", [key]),
	concat(", ", [report.is(value), "a forbidden AppArmor profile"]),
	"use runtime/default or localhost/<profile>, or remove the annotation",
) if {
	some key, value in input.object.metadata.annotations
	startswith(key, "container.apparmor.security.beta.kubernetes.io/")
	not safe_annotation(value)
}

safe(profile) if profile.type in {"RuntimeDefault", "Localhost"}

safe_annotation(value) if value in {"", "runtime/default"}

safe_annotation(value) if startswith(value, "localhost/")
