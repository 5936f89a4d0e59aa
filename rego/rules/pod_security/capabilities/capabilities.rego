# METADATA
# title: Capabilities
# description: |
#   Adding NET_RAW or capabilities beyond the default set must be disallowed. The list
#   is one of what is allowed, spelled exactly so: `ALL`, `CAP_CHOWN` and `chown` are
#   refused like `SYS_ADMIN`, as runtimes differ in what they make of them.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.capabilities.add
#   - spec.initContainers[*].securityContext.capabilities.add
#   - spec.ephemeralContainers[*].securityContext.capabilities.add
#
#   Allowed values: undefined/null, AUDIT_WRITE, CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL,
#   MKNOD, NET_BIND_SERVICE, SETFCAP, SETGID, SETPCAP, SETUID, SYS_CHROOT
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-capabilities
#   severity: critical
#   threat: [D2, D7, D8, P2]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {add: [SYS_ADMIN]}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           securityContext:
#             capabilities: {add: [NET_BIND_SERVICE]}
package rules.pod_security.capabilities

import data.lib.pod
import data.lib.report

allowed := {
	"AUDIT_WRITE",
	"CHOWN",
	"DAC_OVERRIDE",
	"FOWNER",
	"FSETID",
	"KILL",
	"MKNOD",
	"NET_BIND_SERVICE",
	"SETFCAP",
	"SETGID",
	"SETPCAP",
	"SETUID",
	"SYS_CHROOT",
}

violations contains report.violation(
	container,
	sprintf("securityContext.capabilities.add[%d]", [index]),
	concat(", ", [report.is(capability), "none of the allowed capabilities"]),
	"remove it",
) if {
	some container in pod.containers
	some index, capability in container.spec.securityContext.capabilities.add
	not capability in allowed
}
