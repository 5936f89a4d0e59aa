# METADATA
# title: Reserved names
# description: |
#   The names `bulkhead-init` and `bulkhead-firewall` belong to the firewall's containers
#   at spec.initContainers[0] and [1]. No other container may bear them, of any kind and
#   in any namespace, and no ephemeral container may join the processes of one by
#   targetContainerName.
#
#   In a tenant's pod the volume `bulkhead-token` is for the firewall's containers alone:
#   it holds the token that they learn their peers and report with.
# related_resources:
#   - description: Ephemeral containers
#     ref: https://kubernetes.io/docs/concepts/workloads/pods/ephemeral-containers/
# custom:
#   id: fw-reserved-name
#   severity: critical
#   threat: [L3, L5, D7]
#   always: true
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           image: app
#       ephemeralContainers:
#         - name: debugger
#           image: busybox
#           targetContainerName: bulkhead-firewall
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           image: app
#       ephemeralContainers:
#         - name: debugger
#           image: busybox
#           targetContainerName: app
package rules.firewall.reserved_name

import data.lib.pod
import data.lib.report
import data.lib.sidecar

violations contains report.violation(
	container,
	"name",
	"is reserved for Bulkhead's firewall",
	"use another name",
) if {
	some container in pod.containers
	container.spec.name in sidecar.names
	not in_place(container)
}

violations contains report.violation(
	container,
	"targetContainerName",
	concat(", ", [report.is(target), "a container of Bulkhead's firewall"]),
	"target another container",
) if {
	some container in pod.containers
	target := container.spec.targetContainerName
	target in sidecar.names
}

violations contains report.violation(
	container,
	sprintf("volumeMounts[%d].name", [index]),
	"is of the volume of Bulkhead's firewall",
	"mount another volume",
) if {
	input.sidecar
	some container in pod.containers
	not in_place(container)
	some index, mount in container.spec.volumeMounts
	mount.name == sidecar.volume
}

# In its place it is judged by fw-sidecar-genuine and fw-sidecar-unchanged, where
# the namespace has a tenant.
in_place(container) if {
	container.kind == "initContainers"
	sidecar.names[container.index] == container.spec.name
	input.sidecar
}
