# METADATA
# title: Network annotations
# description: |
#   Network plugins attach further networks to a pod, and give it addresses and routes,
#   as its annotations ask. A network of its own may lead past the addresses that the
#   firewall knows; an address of one's choice may be another tenant's. Networks may be
#   asked for by name where the Tenant's spec.networks lists them, and nothing else of the
#   plugins that are known here may be asked for. A network's definition in the tenant's
#   own namespace is not enough: the tenant can write it.
#
#   What a plugin writes into annotations itself it writes to the pods' status
#   subresource, which is not judged. One that updates pods instead has a user that can be
#   exempt in the configuration.
#
#   Restricted fields:
#   - metadata.annotations["k8s.v1.cni.cncf.io/networks"]
#   - metadata.annotations["v1.multus-cni.io/default-network"]
#
#   Allowed values: undefined, "", networks that the Tenant lists, as <namespace>/<name> or
#   <name> for the pod's namespace, each with @<interface> or not; or their JSON form, with
#   name, namespace and interface
#
#   Restricted fields:
#   - metadata.annotations of cni.cilium.io, cni.projectcalico.org, danm.k8s.io,
#     danm.io, ipam.antrea.io, ipam.cilium.io, k8s.ovn.org, k8s.v1.cni.cncf.io,
#     network.harvesterhci.io, ovn.kubernetes.io, v1.multus-cni.io, and their subdomains
#
#   Allowed values: undefined
# related_resources:
#   - description: Kubernetes Network Custom Resource Definition De-facto Standard
#     ref: https://github.com/k8snetworkplumbingwg/multi-net-spec
#   - description: Calico, a specific IP address for a pod
#     ref: https://docs.tigera.io/calico/latest/networking/ipam/use-specific-ip
# custom:
#   id: fw-network-annotations
#   severity: critical
#   threat: [P10, S5]
#   avoid: |
#     kind: Pod
#     metadata:
#       annotations: {k8s.v1.cni.cncf.io/networks: macvlan}
#     spec:
#       containers:
#         - name: app
#   prefer: |
#     kind: Pod
#     metadata:
#       annotations: {k8s.v1.cni.cncf.io/networks: networks/blue} # in the Tenant's networks
#     spec:
#       containers:
#         - name: app
package rules.firewall.network_annotations

import data.lib.pod
import data.lib.report

violations contains report.violation(
	pod.metadata,
	sprintf("annotations[%q]", [key]),
	concat(", ", [report.is(value), "which no network of the Tenant's spec.networks allows"]),
	"remove the annotation, or have an administrator add the network to the Tenant",
) if {
	some key, value in input.object.metadata.annotations
	of_network(key)
	not safe(key, value)
}

# The plugins' domains, with subdomains: kube-ovn has one for each of a pod's networks.
# One expression is cheaper than a look at every suffix.
of_network(key) if regex.match(
	concat("", [
		`^([^/]+\.)?(cni\.cilium\.io|cni\.projectcalico\.org|danm\.io|danm\.k8s\.io|ipam\.antrea\.io|ipam\.cilium\.io|`,
		`k8s\.ovn\.org|k8s\.v1\.cni\.cncf\.io|network\.harvesterhci\.io|ovn\.kubernetes\.io|v1\.multus-cni\.io)/`,
	]),
	key,
)

asking := {"k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"}

safe(key, "") if key in asking

safe(key, value) if {
	key in asking
	every network in split(value, ",") {
		allowed(name_in_words(trim_space(network)))
	}
}

safe(key, value) if {
	key in asking
	json.is_valid(value)
	networks := json.unmarshal(value)
	is_array(networks)
	every network in networks {
		is_object(network)
		object.keys(network) - {"name", "namespace", "interface"} == set()
		allowed(sprintf("%s/%s", [object.get(network, "namespace", input.request.namespace), network.name]))
	}
}

# [<namespace>/]<name>[@<interface>]
name_in_words(text) := name if {
	name := split(text, "@")[0]
	contains(name, "/")
} else := sprintf("%s/%s", [input.request.namespace, split(text, "@")[0]])

allowed(name) if name in input.tenant.networks
