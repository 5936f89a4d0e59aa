# METADATA
# title: Shared process namespace
# description: |
#   In a shared process namespace a tenant's root sends signals to the firewall's process
#   and reads its files through /proc.
#
#   Restricted fields:
#   - spec.shareProcessNamespace
#
#   Allowed values: undefined/null, false
# related_resources:
#   - description: Share process namespace between containers
#     ref: https://kubernetes.io/docs/tasks/configure-pod-container/share-process-namespace/
# custom:
#   id: fw-share-process-namespace
#   severity: critical
#   threat: [D5]
#   avoid: |
#     kind: Pod
#     spec:
#       shareProcessNamespace: true
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       shareProcessNamespace: false
#       containers:
#         - name: app
package rules.firewall.share_process_namespace

import data.lib.pod
import data.lib.report

violations contains report.violation(pod.itself, "shareProcessNamespace", report.is(value), "set it to false or leave it out") if {
	value := input.object.spec.shareProcessNamespace
	value != false
}
