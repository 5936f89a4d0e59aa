# METADATA
# title: Masks of /proc in tenants
# description: |
#   With an unmasked /proc, /proc/sys can be written. In a user namespace of the pod's own
#   the settings of its network belong to the container's root, who needs no capability to
#   change them: it makes the pod answer ARP for any address of the bridge, so that other
#   tenants' traffic goes astray, route loopback addresses and take source routes. The
#   baseline allows this since v1.35; a tenant's pod must not, in a user namespace or not.
#
#   Restricted fields:
#   - spec.containers[*].securityContext.procMount
#   - spec.initContainers[*].securityContext.procMount
#   - spec.ephemeralContainers[*].securityContext.procMount
#
#   Allowed values: undefined/null, Default
# related_resources:
#   - description: proc(5), and net_ctl_permissions in the kernel's net/sysctl_net.c
#     ref: https://man7.org/linux/man-pages/man5/proc_sys_net.5.html
# custom:
#   id: fw-proc-mount
#   severity: high
#   threat: [D6, D8, P7, P14]
#   avoid: |
#     kind: Pod
#     spec:
#       hostUsers: false
#       containers:
#         - name: app
#           securityContext: {procMount: Unmasked}
#   prefer: |
#     kind: Pod
#     spec:
#       hostUsers: false
#       containers:
#         - name: app
#           securityContext: {procMount: Default}
package rules.firewall.proc_mount

import data.lib.pod
import data.lib.report

violations contains report.violation(
	container,
	"securityContext.procMount",
	concat(", ", [report.is(value), "which lets the container change the pod's network settings"]),
	"use Default or leave it out",
) if {
	some container in pod.containers
	value := container.spec.securityContext.procMount
	value != "Default"
}
