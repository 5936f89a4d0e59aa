# METADATA
# title: Hosts of probes and lifecycle hooks
# description: |
#   The host field of probes and lifecycle hooks makes the kubelet, which stands outside
#   every firewall, connect to any address. It must be disallowed.
#
#   Restricted fields:
#   - spec.containers[*].livenessProbe.httpGet.host
#   - spec.containers[*].livenessProbe.tcpSocket.host
#   - spec.containers[*].readinessProbe.httpGet.host
#   - spec.containers[*].readinessProbe.tcpSocket.host
#   - spec.containers[*].startupProbe.httpGet.host
#   - spec.containers[*].startupProbe.tcpSocket.host
#   - spec.containers[*].lifecycle.postStart.httpGet.host
#   - spec.containers[*].lifecycle.postStart.tcpSocket.host
#   - spec.containers[*].lifecycle.preStop.httpGet.host
#   - spec.containers[*].lifecycle.preStop.tcpSocket.host
#   - spec.initContainers[*].livenessProbe.httpGet.host
#   - spec.initContainers[*].livenessProbe.tcpSocket.host
#   - spec.initContainers[*].readinessProbe.httpGet.host
#   - spec.initContainers[*].readinessProbe.tcpSocket.host
#   - spec.initContainers[*].startupProbe.httpGet.host
#   - spec.initContainers[*].startupProbe.tcpSocket.host
#   - spec.initContainers[*].lifecycle.postStart.httpGet.host
#   - spec.initContainers[*].lifecycle.postStart.tcpSocket.host
#   - spec.initContainers[*].lifecycle.preStop.httpGet.host
#   - spec.initContainers[*].lifecycle.preStop.tcpSocket.host
#   - spec.ephemeralContainers[*].livenessProbe.httpGet.host
#   - spec.ephemeralContainers[*].livenessProbe.tcpSocket.host
#   - spec.ephemeralContainers[*].readinessProbe.httpGet.host
#   - spec.ephemeralContainers[*].readinessProbe.tcpSocket.host
#   - spec.ephemeralContainers[*].startupProbe.httpGet.host
#   - spec.ephemeralContainers[*].startupProbe.tcpSocket.host
#   - spec.ephemeralContainers[*].lifecycle.postStart.httpGet.host
#   - spec.ephemeralContainers[*].lifecycle.postStart.tcpSocket.host
#   - spec.ephemeralContainers[*].lifecycle.preStop.httpGet.host
#   - spec.ephemeralContainers[*].lifecycle.preStop.tcpSocket.host
#
#   Allowed values: undefined/null, ""
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-probe-hosts
#   severity: high
#   threat: [D6]
#   level: baseline
#   since: v1.34
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           livenessProbe:
#             httpGet: {host: 10.0.0.1, port: 80}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           livenessProbe:
#             httpGet: {port: 80}
package rules.pod_security.probe_hosts

import data.lib.pod
import data.lib.report

violations contains violation(container, probe, action, host) if {
	some container in pod.containers
	some probe in ["livenessProbe", "readinessProbe", "startupProbe"]
	handler := container.spec[probe]
	some action in ["httpGet", "tcpSocket"]
	host := handler[action].host
	host != ""
}

violations contains violation(container, concat(".", ["lifecycle", hook]), action, host) if {
	some container in pod.containers
	some hook, handler in container.spec.lifecycle
	some action in ["httpGet", "tcpSocket"]
	host := handler[action].host
	host != ""
}

violation(container, handler, action, host) := report.violation(
	container,
	concat(".", [handler, action, "host"]),
	concat(": ", [report.is(host), "a probe or lifecycle host is forbidden"]),
	"leave it out: the kubelet then asks the pod itself",
)
