# METADATA
# title: Commands in the sidecar
# description: |
#   Nobody runs a command in the firewall's containers or attaches to them: they hold the
#   capability to change the rules. When a request names no container, the API server
#   takes the pod's first ordinary container, never one of these.
#
#   Restricted fields:
#   - container of PodExecOptions and PodAttachOptions
#
#   Allowed values: undefined/null, any name but bulkhead-init and bulkhead-firewall
# related_resources:
#   - description: Get a shell to a running container
#     ref: https://kubernetes.io/docs/tasks/debug/debug-application/get-shell-running-container/
# custom:
#   id: fw-sidecar-exec
#   severity: critical
#   threat: [L5]
#   operations: [CONNECT]
#   always: true
#   avoid: |
#     kind: PodExecOptions
#     container: bulkhead-firewall
#     command: [iptables, -F]
#   prefer: |
#     kind: PodExecOptions
#     container: app
#     command: [ls]
package rules.firewall.sidecar_exec

import data.lib.report
import data.lib.sidecar

violations contains {
	"container": name,
	"field": "container",
	"message": sprintf("container is %s, which belongs to Bulkhead's firewall", [report.quote(name)]),
	"remedy": "use another container of the pod",
} if {
	name := object.get(input.object, "container", null)
	not safe(name)
}

safe(null)

safe(name) if {
	is_string(name)
	not name in sidecar.names
}
