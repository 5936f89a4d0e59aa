# METADATA
# title: Unchanged sidecar
# description: |
#   The two containers of the firewall and its volume stay as they were created: no update
#   of the pod, be it `kubectl set image` or a resize, may alter, move or remove them. The pod is
#   compared with its old self, not with the configuration, so that a pod from before a
#   change of the configuration can still be updated.
# related_resources:
#   - description: KEP-1287, in-place resize of pods
#     ref: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/1287-in-place-update-pod-resources
# custom:
#   id: fw-sidecar-unchanged
#   severity: critical
#   threat: [L4]
#   operations: [UPDATE]
#   avoid: |
#     kind: Pod
#     spec:
#       initContainers: # created as the webhook injects them
#         - {name: bulkhead-init, image: firewall}
#         - {name: bulkhead-firewall, image: busybox}
#       containers:
#         - {name: app, image: app}
#   prefer: |
#     kind: Pod
#     spec:
#       initContainers:
#         - {name: bulkhead-init, image: firewall}
#         - {name: bulkhead-firewall, image: firewall}
#       containers:
#         - {name: app, image: "app:v2"}
package rules.firewall.sidecar_unchanged

import data.lib.sidecar

violations contains {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is changed by this update", [name, field]),
	"remedy": "leave Bulkhead's containers as they are, or create the pod anew",
} if {
	some index, name in sidecar.names
	input.sidecar.before[index].name == name
	not unchanged(index)
	field := sprintf("spec.initContainers[%d]", [index])
}

violations contains {
	"container": "",
	"field": "spec.volumes",
	"message": sprintf("spec.volumes: %q is changed by this update", [sidecar.volume]),
	"remedy": "leave Bulkhead's volume as it is, or create the pod anew",
} if {
	input.sidecar.before[1].name == sidecar.names[1]
	not unchanged_volumes
}

unchanged(index) if sidecar.same(input.sidecar.found[index], input.sidecar.before[index])

unchanged_volumes if sidecar.same(input.sidecar.volumes.found, input.sidecar.volumes.before)
