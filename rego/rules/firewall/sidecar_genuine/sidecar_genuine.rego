# METADATA
# title: Genuine sidecar
# description: |
#   A tenant's pod begins with the two containers of the firewall: `bulkhead-init` at
#   spec.initContainers[0], which builds and proves the rules before anything else of the
#   pod runs, and `bulkhead-firewall` at spec.initContainers[1], which keeps them. Both
#   must equal, field by field, what the configuration injects. Nothing else counts: no
#   label or annotation makes a pod protected or exempt.
#
#   The same goes for the volume `bulkhead-token`, which holds the token that they learn
#   their peers and report with: it is the injected one, or there is none where the
#   configuration injects none.
#
#   Tolerated is only what the API server's ServiceAccount plugin adds when it runs again
#   after the webhook: the read-only mount of the pod's token.
# related_resources:
#   - description: KEP-753, sidecar containers
#     ref: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/753-sidecar-containers
# custom:
#   id: fw-sidecar-genuine
#   severity: critical
#   threat: [L1, L2, L3, L12, L15, L16]
#   operations: [CREATE]
#   avoid: |
#     kind: Pod
#     spec:
#       initContainers:
#         - {name: bulkhead-init, image: firewall, command: [sleep, 1d]}
#         - {name: bulkhead-firewall, image: firewall}
#       containers:
#         - {name: app, image: app}
#   prefer: |
#     kind: Pod
#     spec:
#       initContainers: # as the webhook injects them
#         - {name: bulkhead-init, image: firewall}
#         - {name: bulkhead-firewall, image: firewall}
#       containers:
#         - {name: app, image: app}
package rules.firewall.sidecar_genuine

import data.lib.sidecar

violations contains {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is not what Bulkhead injects there: it %s", [name, field, difference(index)]),
	"remedy": "leave this container and its place to Bulkhead's webhook, and let no other webhook change them",
} if {
	some index, name in sidecar.names
	not sidecar.genuine(index)
	field := sprintf("spec.initContainers[%d]", [index])
}

violations contains {
	"container": "",
	"field": "spec.volumes",
	"message": sprintf("spec.volumes: %q is not what Bulkhead injects there", [sidecar.volume]),
	"remedy": "leave this volume to Bulkhead's webhook, and give your own another name",
} if {
	not sidecar.genuine_volumes
}

difference(index) := sprintf("differs in %s", [concat(", ", fields)]) if {
	found := input.sidecar.found[index]
	wanted := input.sidecar.expected[index]
	fields := {field |
		some field in object.keys(object.union(found, wanted))
		object.get(found, field, null) != object.get(wanted, field, null)
	}
} else := "is missing"
