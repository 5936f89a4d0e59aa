# METADATA
# title: External IPs of Services
# description: |
#   Every node leads what is sent to an external IP of a Service to that Service's pods,
#   whoever sent it and whosever the address is: a tenant would receive what other
#   tenants, and the nodes themselves, send to any address it names.
#
#   Restricted fields:
#   - spec.externalIPs
#
#   Allowed values: undefined/null, the empty list
# related_resources:
#   - description: CVE-2020-8554, man in the middle using LoadBalancer or ExternalIPs
#     ref: https://github.com/kubernetes/kubernetes/issues/97076
# custom:
#   id: svc-external-ips
#   severity: critical
#   threat: [S4]
#   resources: [services]
#   avoid: |
#     kind: Service
#     spec:
#       externalIPs: [203.0.113.7]
#       ports: [{port: 443}]
#   prefer: |
#     kind: Service
#     spec:
#       type: LoadBalancer
#       ports: [{port: 443}]
package rules.service_path.external_ips

import data.lib.report

violations contains report.in_field(
	sprintf("spec.externalIPs[%d]", [index]),
	concat(", ", [report.is(address), "and would take what anybody in the cluster sends there"]),
	"remove it, and use a Service of type LoadBalancer or an Ingress",
) if {
	some index, address in input.service.spec.externalIPs
}
