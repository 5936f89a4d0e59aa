package rules.firewall.network_annotations_test

import data.lib.fixtures
import data.rules.firewall.network_annotations

asking := ["k8s.v1.cni.cncf.io/networks", "v1.multus-cni.io/default-network"]

test_networks_that_are_not_listed if {
	values := [
		"macvlan", "blue", "networks/red", "networks/blue,macvlan", "macvlan, networks/blue", "networks/blue@net1,red@net2",
		" ", ",", "networks/blue,", "@net1", "Networks/blue", "networks/blue/x", "networks", "/", "networks/", "/blue",
		`[{"name":"blue"}]`, `[{"name":"blue","namespace":"alice"}]`, `[{"name":"networks/blue"}]`,
		`[{"name":"blue","namespace":"networks"},{"name":"red","namespace":"networks"}]`,
		`[{"name":"blue","namespace":"networks","ips":["172.16.2.7"]}]`,
		`[{"name":"blue","namespace":"networks","mac":"02:00:00:00:00:01"}]`,
		`[{"name":"blue","namespace":"networks","default-route":["10.0.0.1"]}]`,
		`[{"namespace":"networks"}]`, `[{"name":["blue"],"namespace":"networks"}]`, `["networks/blue"]`,
		`{"name":"blue","namespace":"networks"}`, `[`, `[{]`, `"networks/blue"`, " [ ]x",
	]
	every key in asking {
		every value in values {
			network_annotations.violations == {violation(key, value)} with input as annotated({key: value})
		}
	}
}

test_other_annotations_of_network_plugins if {
	keys := [
		"cni.projectcalico.org/ipAddrs", "cni.projectcalico.org/podIP", "cni.projectcalico.org/floatingIPs",
		"k8s.v1.cni.cncf.io/network-status", "v1.multus-cni.io/x", "k8s.ovn.org/pod-networks",
		"ovn.kubernetes.io/ip_address", "blue.networks.ovn.kubernetes.io/mac_address", "ipam.cilium.io/ip-pool",
	]
	every key in keys {
		every value in ["", "networks/blue", "x"] {
			network_annotations.violations == {violation(key, value)} with input as annotated({key: value})
		}
	}
}

test_each_is_named if {
	annotations := {"cni.projectcalico.org/ipv4pools": "a", "k8s.v1.cni.cncf.io/networks": "b", "example.org/x": "c"}
	expected := {violation(key, annotations[key]) | some key in ["cni.projectcalico.org/ipv4pools", "k8s.v1.cni.cncf.io/networks"]}
	network_annotations.violations == expected with input as annotated(annotations)
}

test_networks_that_are_listed if {
	values := [
		"", "networks/blue", "networks/blue@net1", " networks/blue , networks/blue@net2", "green", "alice/green,networks/blue",
		"[]", `[{"name":"blue","namespace":"networks"}]`, ` [{"name":"blue","namespace":"networks","interface":"net1"}]`,
		`[{"name":"green"},{"name":"green","namespace":"alice"}]`,
	]
	every key in asking {
		every value in values {
			network_annotations.violations == set() with input as annotated({key: value})
		}
	}
}

# What the fixture's tenant may is nothing to a pod without one.
test_without_networks if {
	every tenant in [{}, {"networks": []}] {
		expected := {violation("k8s.v1.cni.cncf.io/networks", "networks/blue")}
		network_annotations.violations == expected with input as object.union(
			object.remove(annotated({"k8s.v1.cni.cncf.io/networks": "networks/blue"}), ["tenant"]),
			{"tenant": tenant},
		)
	}
}

test_passes if {
	every annotations in [{}, {"example.org/cni.projectcalico.org": "x"}, {"cni": "x"}, {"kubernetes.io/ingress-bandwidth": "1M"}, {"notdanm.io/x": "y"}] {
		network_annotations.violations == set() with input as annotated(annotations)
	}
	network_annotations.violations == set() with input as fixtures.tenant_object("object", {"spec": {}})
}

annotated(annotations) := json.patch(
	fixtures.tenant_object("object", {"metadata": {"annotations": annotations}, "spec": {}}),
	[
		{"op": "add", "path": "/request/namespace", "value": "alice"},
		{"op": "add", "path": "/tenant/networks/-", "value": "alice/green"},
	],
)

violation(key, value) := fixtures.in_pod(
	sprintf("metadata.annotations[%q]", [key]),
	sprintf("is %s, which no network of the Tenant's spec.networks allows", [json.marshal(value)]),
	"remove the annotation, or have an administrator add the network to the Tenant",
)
