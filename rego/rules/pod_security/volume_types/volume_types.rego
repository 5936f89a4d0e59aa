# METADATA
# title: Volume types
# description: |
#   Only these types of volume are permitted. A volume that names none of them is refused
#   like one of another type.
#
#   Restricted fields:
#   - spec.volumes[*]
#
#   Allowed values: every volume sets one of configMap, csi, downwardAPI, emptyDir, ephemeral,
#   image, persistentVolumeClaim, projected, secret
# related_resources:
#   - description: Pod Security Standards, restricted
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
# custom:
#   id: pss-volume-types
#   severity: high
#   threat: [D3]
#   level: restricted
#   overrides: [pss-host-path]
#   avoid: |
#     kind: Pod
#     spec:
#       volumes:
#         - name: share
#           nfs: {server: 10.0.0.1, path: /}
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       volumes:
#         - name: scratch
#           emptyDir: {}
#       containers:
#         - name: app
package rules.pod_security.volume_types

import data.lib.pod
import data.lib.report

allowed := [
	"configMap",
	"csi",
	"downwardAPI",
	"emptyDir",
	"ephemeral",
	"image",
	"persistentVolumeClaim",
	"projected",
	"secret",
]

violations contains report.violation(
	pod.itself,
	sprintf("volumes[%d]", [index]),
	sprintf("uses restricted volume types: %s", [types(volume)]),
	sprintf("use one of %s", [concat(", ", allowed)]),
) if {
	some index, volume in input.object.spec.volumes
	not safe(volume)
}

safe(volume) if {
	some type in allowed
	volume[type]
}

types(volume) := concat(", ", keys) if {
	keys := object.keys(volume) - {"name"}
	count(keys) > 0
} else := "none at all"
