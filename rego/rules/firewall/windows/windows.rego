# METADATA
# title: Windows pods
# description: |
#   The firewall is made of Linux's netfilter. A pod for another operating system cannot
#   carry it.
#
#   Restricted fields:
#   - spec.os.name
#
#   Allowed values: undefined/null, linux
# related_resources:
#   - description: KEP-2802, identify a Windows pod at admission
#     ref: https://github.com/kubernetes/enhancements/tree/master/keps/sig-windows/2802-identify-windows-pods-apiserver-admission
# custom:
#   id: fw-windows
#   severity: high
#   threat: [D9]
#   avoid: |
#     kind: Pod
#     spec:
#       os: {name: windows}
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     spec:
#       os: {name: linux}
#       containers:
#         - name: app
package rules.firewall.windows

import data.lib.pod
import data.lib.report

violations contains report.violation(
	pod.itself,
	"os.name",
	concat(", ", [report.is(object.get(system, "name", "")), "which cannot carry Bulkhead's firewall"]),
	"use linux, or run the pod in a namespace without a tenant",
) if {
	system := input.object.spec.os
	not safe(system)
}

safe(system) if system.name == "linux"
