# METADATA
# title: Addresses of load balancers
# description: |
#   Every node leads what is sent to a load balancer's address to the Service's pods, as
#   with external IPs. The address must not be one inside the cluster: another tenant's,
#   a node's, or a Service's; nor, where there is a feed, one outside by which another
#   tenant's Service is reached. Who writes the status is asked about it too, but for the
#   cluster's own controllers (the service accounts of kube-system, and the cloud
#   controller manager). One in another namespace that gives nodes' addresses to load
#   balancers can be exempt in the configuration, by its user.
#
#   Restricted fields:
#   - spec.loadBalancerIP
#   - status.loadBalancer.ingress[*].ip
#
#   Allowed values: undefined/null, "", any address outside the cluster
# related_resources:
#   - description: CVE-2020-8554, man in the middle using LoadBalancer or ExternalIPs
#     ref: https://github.com/kubernetes/kubernetes/issues/97076
# custom:
#   id: svc-load-balancer
#   severity: critical
#   threat: [S4]
#   resources: [services]
#   avoid: |
#     kind: Service
#     spec:
#       type: LoadBalancer
#       loadBalancerIP: 192.168.0.10 # a node
#   prefer: |
#     kind: Service
#     spec:
#       type: LoadBalancer
#       loadBalancerIP: 203.0.113.7
package rules.service_path.load_balancer

import data.lib.address
import data.lib.report

violations contains report.in_field(
	field,
	concat(", ", [report.is(text), "an address inside the cluster or none"]),
	"leave the choice to the load balancer, or name an address outside the cluster",
) if {
	some field, text in addresses
	not safe(text)
}

addresses["spec.loadBalancerIP"] := input.service.spec.loadBalancerIP

addresses[sprintf("status.loadBalancer.ingress[%d].ip", [index])] := ingress.ip if {
	some index, ingress in input.service.status.loadBalancer.ingress
}

safe("")

safe(text) if address.outside(text)
