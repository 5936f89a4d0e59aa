# METADATA
# title: Mirror pods
# description: |
#   A pod with this annotation is the API server's picture of a static pod, which the
#   kubelet runs from a file on its node and admission never sees. A tenant has none.
#
#   Restricted fields:
#   - metadata.annotations["kubernetes.io/config.mirror"]
#
#   Allowed values: undefined
# related_resources:
#   - description: Static pods
#     ref: https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
# custom:
#   id: fw-mirror-pod
#   severity: high
#   threat: [L2, L10]
#   avoid: |
#     kind: Pod
#     metadata:
#       annotations: {kubernetes.io/config.mirror: "1"}
#     spec:
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     metadata:
#       annotations: {example.org/mirror: "1"}
#     spec:
#       containers:
#         - name: app
package rules.firewall.mirror_pod

import data.lib.pod
import data.lib.report

key := "kubernetes.io/config.mirror"

violations contains report.violation(
	pod.metadata,
	sprintf("annotations[%q]", [key]),
	"is set, as if this were a static pod's mirror, which cannot carry Bulkhead's firewall",
	"remove the annotation, or keep static pods out of tenants' namespaces",
) if {
	input.object.metadata.annotations[key]
}
