# METADATA
# title: Devices that bypass the kernel's network
# description: |
#   RDMA adapters, virtual functions given to a process by vfio or DPDK, and vsock send
#   packets that never meet netfilter, so that no firewall in the pod's network namespace
#   sees them. A container may not ask for one of a device plugin's that says in its name
#   that it is of that kind. Names are the administrator's choice: do not offer tenants
#   such devices under another.
#
#   Restricted fields:
#   - spec.containers[*].resources.limits
#   - spec.containers[*].resources.requests
#   - spec.initContainers[*].resources.limits
#   - spec.initContainers[*].resources.requests
#   - spec.ephemeralContainers[*].resources.limits
#   - spec.ephemeralContainers[*].resources.requests
#
#   Allowed values: any but extended resources with dpdk, efa, hca, infiniband, netdevice,
#   rdma, roce, sriov, vfio or vsock as a word of their names
# related_resources:
#   - description: Device plugins
#     ref: https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
# custom:
#   id: fw-devices
#   severity: high
#   threat: [P11]
#   avoid: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           resources:
#             limits: {rdma/hca_shared_devices_a: 1}
#   prefer: |
#     kind: Pod
#     spec:
#       containers:
#         - name: app
#           resources:
#             limits: {nvidia.com/gpu: 1}
package rules.firewall.devices

import data.lib.pod
import data.lib.report

violations contains report.violation(
	container,
	sprintf("resources.%s[%q]", [list, name]),
	"asks for a device whose packets no firewall sees",
	"remove it, or run the pod in a namespace without a tenant",
) if {
	some container in pod.containers
	some list in ["limits", "requests"]
	some name, _ in container.spec.resources[list]
	bypasses(name)
}

bypasses(name) if {
	contains(name, "/")
	regex.match(`(^|[^a-z])(dpdk|efa|hca|infiniband|netdevice|rdma|roce|sriov|sr-iov|vfio|vsock)([^a-z]|$)`, lower(name))
}
