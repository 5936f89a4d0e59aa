# METADATA
# title: Raw sockets
# description: |
#   With NET_RAW, which runtimes grant by default, a process sends packets that no rule of
#   OUTPUT sees and sniffs what arrives before any rule judges it. Every container of a
#   tenant's pod must drop it, by the name NET_RAW or with ALL, spelled exactly so: a
#   runtime may take `CAP_NET_RAW` for an unknown name and drop nothing. It must not be
#   added back, in any spelling. A user namespace changes nothing: NET_RAW in it is valid
#   for the pod's own network.
#
#   The webhook adds NET_RAW to the list by itself.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.capabilities.drop
#   - spec.initContainers[*].securityContext.capabilities.drop
#   - spec.ephemeralContainers[*].securityContext.capabilities.drop
#
#   Allowed values: any list that includes NET_RAW or ALL
#
#   Restricted fields:
#   - spec.containers[*].securityContext.capabilities.add
#   - spec.initContainers[*].securityContext.capabilities.add
#   - spec.ephemeralContainers[*].securityContext.capabilities.add
#
#   Allowed values: any list without NET_RAW and ALL
# related_resources:
#   - description: capabilities(7)
#     ref: https://man7.org/linux/man-pages/man7/capabilities.7.html
#   - description: packet(7)
#     ref: https://man7.org/linux/man-pages/man7/packet.7.html
# custom:
#   id: fw-net-raw
#   severity: critical
#   threat: [P2, P3, D7, D8]
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {drop: [CAP_NET_RAW]}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {drop: [NET_RAW]}
package rules.firewall.net_raw

import data.lib.pod
import data.lib.report

violations contains report.violation(
	container,
	"securityContext.capabilities.drop",
	"has neither \"NET_RAW\" nor \"ALL\"",
	"drop NET_RAW",
) if {
	some container in pod.containers
	not dropped(container)
}

violations contains report.violation(
	container,
	sprintf("securityContext.capabilities.add[%d]", [index]),
	concat(", ", [report.is(capability), "which brings raw sockets back"]),
	"remove it",
) if {
	some container in pod.containers
	some index, capability in container.spec.securityContext.capabilities.add
	trim_prefix(upper(capability), "CAP_") in {"NET_RAW", "ALL"}
}

dropped(container) if {
	some capability in container.spec.securityContext.capabilities.drop
	capability in {"NET_RAW", "ALL"}
}
