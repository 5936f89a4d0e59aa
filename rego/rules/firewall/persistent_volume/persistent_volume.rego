# METADATA
# title: PersistentVolumes on the node
# description: |
#   A PersistentVolume with a hostPath, or of type local, is a folder of the node, as a
#   hostPath volume in a pod is. None may be bound to a tenant's claim. It is judged when
#   it is created for a claim and when it is bound. Volumes of CSI drivers are what the
#   driver makes of them: install none that mounts paths which its users choose.
#
#   Restricted fields:
#   - spec.hostPath
#   - spec.local
#
#   Allowed values: undefined/null
# related_resources:
#   - description: Types of PersistentVolumes
#     ref: https://kubernetes.io/docs/concepts/storage/persistent-volumes/#types-of-persistent-volumes
# custom:
#   id: fw-persistent-volume
#   severity: critical
#   threat: [D3]
#   resources: [persistentvolumes]
#   avoid: |
#     kind: PersistentVolume
#     spec:
#       claimRef: {namespace: alice, name: data}
#       hostPath: {path: /proc}
#   prefer: |
#     kind: PersistentVolume
#     spec:
#       claimRef: {namespace: alice, name: data}
#       csi: {driver: disk.example.com, volumeHandle: "1"}
package rules.firewall.persistent_volume

import data.lib.report

violations contains report.in_field(
	sprintf("spec.%s", [type]),
	concat(", ", [report.is(object.get(source, "path", "")), "a folder of the node"]),
	"use a volume of another type, or bind it to a claim in a namespace without a tenant",
) if {
	some type in ["hostPath", "local"]
	source := input.persistentVolume.spec[type]
}
