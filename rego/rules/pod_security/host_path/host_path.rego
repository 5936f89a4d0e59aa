# METADATA
# title: HostPath volumes
# description: |
#   HostPath volumes must be forbidden: of any path, read-only or not.
#
#   Restricted fields:
#   - spec.volumes[*].hostPath
#
#   Allowed values: undefined/null
# related_resources:
#   - description: Pod Security Standards, baseline
#     ref: https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
# custom:
#   id: pss-host-path
#   severity: critical
#   threat: [D1, D3]
#   level: baseline
#   avoid: |
#     kind: Pod
#     spec:
#       volumes:
#         - name: proc
#           hostPath: {path: /proc}
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
package rules.pod_security.host_path

import data.lib.pod
import data.lib.report

violations contains report.violation(
	pod.itself,
	sprintf("volumes[%d].hostPath", [index]),
	sprintf("is set by volume %q: hostPath volumes are forbidden", [object.get(volume, "name", "")]),
	"use another type of volume",
) if {
	some index, volume in input.object.spec.volumes
	volume.hostPath
}
