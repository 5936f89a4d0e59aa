# METADATA
# title: Addresses of endpoints
# description: |
#   Endpoints and EndpointSlices say where a Service's traffic goes. They may name the
#   tenant's own pods, and addresses outside the cluster where the tenant's pods may reach
#   those themselves; never another tenant's pods, a node, a Service, or a cloud's
#   metadata service, which are all denied to the sender itself, but not by way of a
#   Service, of which its firewall sees the ClusterIP only.
#
#   Trusted, by its authenticated user alone, is what the API server's controllers derive
#   from the status of pods that a Service selects. The controller that mirrors Endpoints
#   into EndpointSlices is not: it copies what a tenant wrote. Labels such as
#   `endpointslice.kubernetes.io/managed-by`, and owner references, are the tenant's to
#   write and say nothing.
#
#   Nor may they name a port by which nodes unpack VXLAN or Geneve, whatever the address: a
#   node also answers inside the tenant's range, at its bridge's gateway, and a Service
#   translates the port behind the sender's firewall. What is wrapped in such a packet
#   comes from whomever it says, another tenant's own pods for instance (P6).
#
#   Restricted fields:
#   - subsets[*].addresses[*].ip
#   - subsets[*].notReadyAddresses[*].ip
#   - endpoints[*].addresses[*]
#
#   Allowed values: IP addresses in the tenant's addressing.cidrs, or with addressing
#   identity those that its live pods hold; if its egress.external is allow, IP addresses
#   outside the cluster that are no load balancer's of another tenant
#
#   Restricted fields:
#   - subsets[*].ports[*].port
#   - ports[*].port
#
#   Allowed values: any port but, for UDP, 4789, 8472 and 6081
# related_resources:
#   - description: CVE-2021-25740, endpoints of other namespaces
#     ref: https://github.com/kubernetes/kubernetes/issues/103675
# custom:
#   id: svc-endpoint-addresses
#   severity: critical
#   threat: [S3, P6]
#   resources: [endpoints, endpointslices]
#   avoid: |
#     kind: Endpoints
#     subsets:
#       - addresses:
#           - {ip: 172.16.2.7} # another tenant's
#   prefer: |
#     kind: Endpoints
#     subsets:
#       - addresses:
#           - {ip: 172.16.1.7} # the tenant's own
package rules.service_path.endpoint_addresses

import data.lib.address
import data.lib.report

violations contains report.in_field(
	field,
	concat(", ", [report.is(text), address.whose(text)]),
	"name only addresses of the tenant's own pods, or such outside the cluster as they may reach",
) if {
	not trusted
	some field, text in addresses
	not address.safe(text)
}

violations contains report.in_field(
	field,
	concat(" ", [report.is(port.port), "for UDP, by which nodes unpack VXLAN or Geneve"]),
	"let the pods listen on another port",
) if {
	not trusted
	some field, port in ports
	port.protocol == "UDP"
	port.port in {4789, 8472, 6081}
}

trusted if input.request.user.name in {
	"system:serviceaccount:kube-system:endpoint-controller",
	"system:serviceaccount:kube-system:endpointslice-controller",
}

addresses[sprintf("subsets[%d].%s[%d].ip", [index, list, place])] := object.get(entry, "ip", "") if {
	some index, subset in input.endpoints.subsets
	some list in ["addresses", "notReadyAddresses"]
	some place, entry in subset[list]
}

addresses[sprintf("endpoints[%d].addresses[%d]", [index, place])] := text if {
	some index, endpoint in input.endpointSlice.endpoints
	some place, text in endpoint.addresses
}

ports[sprintf("subsets[%d].ports[%d].port", [index, place])] := port if {
	some index, subset in input.endpoints.subsets
	some place, port in subset.ports
}

ports[sprintf("ports[%d].port", [place])] := port if {
	some place, port in input.endpointSlice.ports
}
