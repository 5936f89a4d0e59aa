# METADATA
# title: SELinux options
# description: |
#   Setting the SELinux type is restricted, and setting a custom SELinux user or role is
#   forbidden.
#
#   Restricted fields:
#   - spec.securityContext.seLinuxOptions.type
#   - spec.containers[*].securityContext.seLinuxOptions.type
#   - spec.initContainers[*].securityContext.seLinuxOptions.type
#   - spec.ephemeralContainers[*].securityContext.seLinuxOptions.type
#
#   Allowed values: undefined/null, "", container_t, container_init_t, container_kvm_t;
#   since v1.31 container_engine_t
#
#   Restricted fields:
#   - spec.securityContext.seLinuxOptions.user
#   - spec.containers[*].securityContext.seLinuxOptions.user
#   - spec.initContainers[*].securityContext.seLinuxOptions.user
#   - spec.ephemeralContainers[*].securityContext.seLinuxOptions.user
#   - spec.securityContext.seLinuxOptions.role
#   - spec.containers[*].securityContext.seLinuxOptions.role
#   - spec.initContainers[*].securityContext.seLinuxOptions.role
#   - spec.ephemeralContainers[*].securityContext.seLinuxOptions.role
#
#   Allowed values: undefined/null, ""
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-selinux
#   severity: high
#   threat: [D6]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             seLinuxOptions: {type: spc_t}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             seLinuxOptions: {type: container_t}
package rules.pod_security.selinux

import data.lib.pod
import data.lib.report

allowed := {
	"type": {"", "container_t", "container_init_t", "container_kvm_t"},
	"user": {""},
	"role": {""},
}

violations contains report.until(
	report.violation(
		context,
		concat(".", ["securityContext.seLinuxOptions", field]),
		report.is(value),
		"leave it out, or use one of the allowed types",
	),
	"v1.31",
	[field, value] == ["type", "container_engine_t"],
) if {
	some context in pod.contexts
	some field, value in context.spec.securityContext.seLinuxOptions
	not safe(field, value)
}

safe(field, value) if value in allowed[field]

# The level separates pods from each other, and is free.
safe("level", _)
