# METADATA
# title: Running as non-root
# description: |
#   Containers must be required to run as non-root users. A container may leave the field
#   out where the pod sets it to true. Pods in a user namespace of their own are let pass
#   (since v1.35).
#
#   Restricted fields:
#   - spec.securityContext.runAsNonRoot
#   - spec.containers[*].securityContext.runAsNonRoot
#   - spec.initContainers[*].securityContext.runAsNonRoot
#   - spec.ephemeralContainers[*].securityContext.runAsNonRoot
#
#   Allowed values: true; undefined/null in a container where the pod's is true;
#   any value if spec.hostUsers is false
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-run-as-non-root
#   severity: medium
#   threat: [D6]
#   level: restricted
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           image: app
#   prefer: |
#     kind: Pod
#     spec:
#       securityContext: {runAsNonRoot: true}
#       containers:
#         - name: app
package rules.pod_security.run_as_non_root

import data.lib.pod
import data.lib.report

# Set, and not to true.
violations contains report.until(
	report.violation(context, "securityContext.runAsNonRoot", report.is(value), "set it to true"),
	"v1.35",
	pod.user_namespace,
) if {
	some context in pod.contexts
	value := context.spec.securityContext.runAsNonRoot
	value != true
}

# Set neither in the container nor in the pod.
violations contains report.until(
	report.violation(
		container,
		"securityContext.runAsNonRoot",
		"is set neither here nor in the pod's securityContext",
		"set it to true in one of them",
	),
	"v1.35",
	pod.user_namespace,
) if {
	not pod_sets
	some container in pod.containers
	not sets(container)
}

pod_sets if sets(pod.itself)

sets(context) if context.spec.securityContext.runAsNonRoot in {true, false}
