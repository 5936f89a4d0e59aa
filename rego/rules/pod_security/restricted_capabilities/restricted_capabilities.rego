# METADATA
# title: Capabilities, restricted
# description: |
#   Containers must drop ALL capabilities, and may only add NET_BIND_SERVICE back. Both
#   are spelled exactly so. Pods for Windows (spec.os.name) have no such field, and are let
#   pass since v1.25.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.capabilities.drop
#   - spec.initContainers[*].securityContext.capabilities.drop
#   - spec.ephemeralContainers[*].securityContext.capabilities.drop
#
#   Allowed values: any list that includes ALL
#
#   Restricted fields:
#   - spec.containers[*].securityContext.capabilities.add
#   - spec.initContainers[*].securityContext.capabilities.add
#   - spec.ephemeralContainers[*].securityContext.capabilities.add
#
#   Allowed values: undefined/null, NET_BIND_SERVICE
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-restricted-capabilities
#   severity: medium
#   threat: [D2, D7, D8, P2]
#   level: restricted
#   since: v1.22
#   overrides: [pss-capabilities]
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {add: [CHOWN]}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}
package rules.pod_security.restricted_capabilities

import data.lib.pod
import data.lib.report

violations contains report.until(
	report.violation(
		container,
		"securityContext.capabilities.drop",
		"lacks \"ALL\": unrestricted capabilities",
		"drop ALL",
	),
	"v1.25",
	pod.windows,
) if {
	some container in pod.containers
	not drops_all(container)
}

violations contains report.until(
	report.violation(
		container,
		sprintf("securityContext.capabilities.add[%d]", [index]),
		concat(": ", [report.is(capability), "unrestricted capabilities"]),
		"remove it: only NET_BIND_SERVICE may be added",
	),
	"v1.25",
	pod.windows,
) if {
	some container in pod.containers
	some index, capability in container.spec.securityContext.capabilities.add
	capability != "NET_BIND_SERVICE"
}

drops_all(container) if "ALL" in container.spec.securityContext.capabilities.drop
