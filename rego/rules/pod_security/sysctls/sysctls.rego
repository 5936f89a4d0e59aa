# METADATA
# title: Sysctls
# description: |
#   Sysctls can disable security mechanisms or affect all containers on a host, and are
#   disallowed but for a safe subset: those that are namespaced in the container or the
#   pod, and isolated from other pods and processes on the same node.
#
#   Restricted fields:
#   - spec.securityContext.sysctls[*].name
#
#   Allowed values: kernel.shm_rmid_forced, net.ipv4.ip_local_port_range,
#   net.ipv4.ip_local_reserved_ports, net.ipv4.ip_unprivileged_port_start,
#   net.ipv4.ping_group_range, net.ipv4.tcp_fin_timeout,
#   net.ipv4.tcp_keepalive_intvl, net.ipv4.tcp_keepalive_probes,
#   net.ipv4.tcp_keepalive_time, net.ipv4.tcp_notsent_lowat, net.ipv4.tcp_rmem,
#   net.ipv4.tcp_slow_start_after_idle, net.ipv4.tcp_syncookies, net.ipv4.tcp_wmem
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-sysctls
#   severity: high
#   threat: [D6, P7]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       securityContext:
#         sysctls:
#           - {name: net.ipv4.conf.all.route_localnet, value: "1"}
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       securityContext:
#         sysctls:
#           - {name: net.ipv4.tcp_syncookies, value: "1"}
#       containers:
#         - name: app
package rules.pod_security.sysctls

import data.lib.pod
import data.lib.report

allowed := {
	"kernel.shm_rmid_forced",
	"net.ipv4.ip_local_port_range",
	"net.ipv4.ip_local_reserved_ports",
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl",
	"net.ipv4.tcp_keepalive_probes",
	"net.ipv4.tcp_keepalive_time",
	"net.ipv4.tcp_notsent_lowat",
	"net.ipv4.tcp_rmem",
	"net.ipv4.tcp_slow_start_after_idle",
	"net.ipv4.tcp_syncookies",
	"net.ipv4.tcp_wmem",
}

violations contains report.violation(
	pod.itself,
	sprintf("securityContext.sysctls[%d].name", [index]),
	concat(", ", [report.is(object.get(sysctl, "name", "")), "a forbidden sysctl"]),
	"remove it",
) if {
	some index, sysctl in input.object.spec.securityContext.sysctls
	not safe(sysctl)
}

safe(sysctl) if sysctl.name in allowed
