# METADATA
# title: Ephemeral containers after the firewall
# description: |
#   An ephemeral container may be added once the firewall stands: bulkhead-init has ended
#   with success and bulkhead-firewall has started. The kubelet starts ephemeral
#   containers without waiting for init containers, so one that is added earlier runs
#   without rules, for good if bulkhead-init never starts. What is known of the firewall
#   is the status that the kubelet wrote, in the pod as it was before the update.
# related_resources:
#   - description: The kubelet starts ephemeral containers even if initialization is not complete (computePodActions)
#     ref: https://github.com/kubernetes/kubernetes/blob/v1.36.3/pkg/kubelet/kuberuntime/kuberuntime_manager.go
# custom:
#   id: fw-ephemeral-container
#   severity: critical
#   threat: [L16, L17]
#   operations: [UPDATE]
#   avoid: |
#     kind: Pod
#     spec:
#       initContainers: # not run yet: the status does not tell of them
#         - {name: bulkhead-init, image: firewall}
#         - {name: bulkhead-firewall, image: firewall}
#       containers:
#         - {name: app, image: app}
#       ephemeralContainers:
#         - {name: debugger, image: busybox}
#   prefer: |
#     kind: Pod
#     spec:
#       initContainers:
#         - {name: bulkhead-init, image: firewall}
#         - {name: bulkhead-firewall, image: firewall}
#       containers:
#         - {name: app, image: app}
package rules.firewall.ephemeral_container

import data.lib.pod
import data.lib.report
import data.lib.sidecar

violations contains report.violation(
	container,
	"name",
	"is of a container that would run before the pod's firewall stands",
	"add it when bulkhead-init has ended with success and bulkhead-firewall runs",
) if {
	some container in pod.containers
	container.kind == "ephemeralContainers"
	not existing(container)
	input.sidecar.before[0].name == sidecar.names[0]
	not standing
}

# The API server lets nobody change or remove an ephemeral container that is there.
existing(container) if input.oldObject.spec.ephemeralContainers[container.index].name == container.spec.name

standing if {
	some init in input.oldObject.status.initContainerStatuses
	init.name == sidecar.names[0]
	init.state.terminated.exitCode == 0
	some firewall in input.oldObject.status.initContainerStatuses
	firewall.name == sidecar.names[1]
	firewall.started == true
}
