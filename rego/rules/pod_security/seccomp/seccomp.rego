# METADATA
# title: Seccomp profiles
# description: |
#   If seccomp profiles are specified, only runtime default and localhost profiles are
#   allowed. Before v1.19 they were specified by alpha annotations, which that version's
#   rule looks at instead; no API server or kubelet that knows native sidecars reads them.
#
#   Restricted fields:
#   - spec.securityContext.seccompProfile.type
#   - spec.containers[*].securityContext.seccompProfile.type
#   - spec.initContainers[*].securityContext.seccompProfile.type
#   - spec.ephemeralContainers[*].securityContext.seccompProfile.type
#
#   Allowed values: undefined/null, RuntimeDefault, Localhost
#
#   Restricted fields, before v1.19:
#   - metadata.annotations["seccomp.security.alpha.kubernetes.io/pod"]
#   - metadata.annotations["container.seccomp.security.alpha.kubernetes.io/*"]
#
#   Allowed values: undefined, runtime/default, docker/default, localhost/*
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

violations contains report.since(
	report.violation(
		context,
		"securityContext.seccompProfile.type",
		report.is(object.get(profile, "type", "")),
		"use RuntimeDefault or Localhost, or leave the profile out",
	),
	"v1.19",
) if {
	some context in pod.contexts
	profile := context.spec.securityContext.seccompProfile
	not safe(profile)
}

violations contains report.until(
	report.violation(
		pod.metadata,
		sprintf("annotations[%q]", [key]),
		concat(", ", [report.is(value), "a forbidden seccompProfile"]),
		"use runtime/default or localhost/<profile>, or remove the annotation",
	),
	"v1.19",
	true,
) if {
	some key in annotations
	value := input.object.metadata.annotations[key]
	not safe_annotation(value)
}

annotations contains "seccomp.security.alpha.kubernetes.io/pod"

annotations contains concat("", ["container.seccomp.security.alpha.kubernetes.io/", name]) if {
	some container in pod.containers
	name := object.get(container.spec, "name", "")
}

safe(profile) if profile.type in {"RuntimeDefault", "Localhost"}

safe_annotation(value) if value in {"runtime/default", "docker/default"}

safe_annotation(value) if startswith(value, "localhost/")
