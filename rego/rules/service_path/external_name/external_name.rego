# METADATA
# title: External names of Services
# description: |
#   A Service of type ExternalName is an alias. Whoever resolves it with more rights than
#   the tenant, such as a shared ingress controller, can be led to any Service of the
#   cluster. The name must therefore be no Service's or pod's, but of the tenant's own
#   namespaces, no IP address, and no name of one label only, which a resolver completes
#   with its own search path. A name outside the cluster that resolves to an address
#   inside it is for the controller's own firewall to stop.
#
#   Restricted fields:
#   - spec.externalName
#
#   Allowed values: any name outside the cluster, and those of Services in the tenant's
#   namespaces
# related_resources:
#   - description: ExternalName Services and ingress controllers
#     ref: https://kubernetes.io/docs/concepts/services-networking/service/#externalname
# custom:
#   id: svc-external-name
#   severity: high
#   threat: [S4]
#   resources: [services]
#   avoid: |
#     kind: Service
#     spec:
#       type: ExternalName
#       externalName: database.bob.svc.cluster.local
#   prefer: |
#     kind: Service
#     spec:
#       type: ExternalName
#       externalName: database.example.com
package rules.service_path.external_name

import data.lib.address
import data.lib.report

violations contains report.in_field(
	"spec.externalName",
	concat(", ", [report.is(name), "which may be a name or an address inside the cluster"]),
	"name a host outside the cluster, or a Service of the tenant's own namespaces",
) if {
	input.service.spec.type == "ExternalName"
	name := object.get(input.service.spec, "externalName", "")
	absolute := trim_suffix(lower(name), ".")
	not safe(absolute)
}

safe(name) if {
	labels := split(name, ".")
	count(labels) > 1
	not inside(name, labels)
	not address.valid(name)
}

# <service>.<namespace>.svc.<cluster's domain>
safe(name) if {
	labels := split(name, ".")
	labels[2] == "svc"
	labels[1] in input.tenant.namespaces
}

# Whatever the cluster's domain: svc and pod are the second label before it, and the
# names of pods and headless Services have more labels in front.
inside(_, labels) if {
	some index, label in labels
	index > 1
	label in {"svc", "pod"}
}

inside(name, _) if {
	some suffix in [".cluster.local", ".in-addr.arpa", ".ip6.arpa", ".localhost", ".local"]
	endswith(name, suffix)
}

# <service>.<namespace>, which a resolver in a pod completes.
inside(_, ["kubernetes", "default"])
