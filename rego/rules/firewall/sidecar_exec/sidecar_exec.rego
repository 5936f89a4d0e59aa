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

import data.lib.sidecar

violations contains {
	"container": name,
	"field": "container",
	"message": sprintf("container %q belongs to Bulkhead's firewall", [name]),
	"remedy": "use another container of the pod",
} if {
	name := input.options.container
	name in sidecar.names
}
