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
#   net.ipv4.ip_unprivileged_port_start, net.ipv4.ping_group_range,
#   net.ipv4.tcp_syncookies;
#   since v1.27 net.ipv4.ip_local_reserved_ports;
#   since v1.29 net.ipv4.tcp_fin_timeout, net.ipv4.tcp_keepalive_intvl,
#   net.ipv4.tcp_keepalive_probes, net.ipv4.tcp_keepalive_time;
#   since v1.32 net.ipv4.tcp_rmem, net.ipv4.tcp_wmem;
#   since v1.37 net.ipv4.tcp_notsent_lowat, net.ipv4.tcp_slow_start_after_idle
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
	"net.ipv4.ip_unprivileged_port_start",
	"net.ipv4.ping_group_range",
	"net.ipv4.tcp_syncookies",
}

# The versions since which the others are.
allowed_since := {
	"net.ipv4.ip_local_reserved_ports": "v1.27",
	"net.ipv4.tcp_fin_timeout": "v1.29",
	"net.ipv4.tcp_keepalive_intvl": "v1.29",
	"net.ipv4.tcp_keepalive_probes": "v1.29",
	"net.ipv4.tcp_keepalive_time": "v1.29",
	"net.ipv4.tcp_notsent_lowat": "v1.37",
	"net.ipv4.tcp_rmem": "v1.32",
	"net.ipv4.tcp_slow_start_after_idle": "v1.37",
	"net.ipv4.tcp_wmem": "v1.32",
}

violations contains violation(index, name) if {
	some index, sysctl in input.object.spec.securityContext.sysctls
	name := object.get(sysctl, "name", "")
	not name in allowed
}

violation(index, name) := report.until(forbidden(index, name), version, true) if {
	version := allowed_since[name]
} else := forbidden(index, name)

forbidden(index, name) := report.violation(
	pod.itself,
	sprintf("securityContext.sysctls[%d].name", [index]),
	concat(", ", [report.is(name), "a forbidden sysctl"]),
	"remove it",
)
