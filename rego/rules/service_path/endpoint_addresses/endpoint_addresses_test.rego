package rules.service_path.endpoint_addresses_test

import data.lib.fixtures
import data.lib.report
import data.rules.service_path.endpoint_addresses

bad := {
	"172.16.2.7": "which is the cluster's or another tenant's",
	"10.244.1.1": "which is the cluster's or another tenant's",
	"10.96.0.1": "which is the cluster's or another tenant's",
	"192.168.0.10": "which is the cluster's or another tenant's",
	"169.254.169.254": "which is not the tenant's to reach",
	"fd00:ec2::254": "which is not the tenant's to reach",
	"database.bob.svc": "which is no IP address",
	"": "which is no IP address",
}

good := ["172.16.1.7", "fd00:1:0:1::7", "203.0.113.7", "2001:db8::1"]

test_endpoints if {
	every text, whose in bad {
		every list in ["addresses", "notReadyAddresses"] {
			expected := {violation(sprintf("subsets[1].%s[1].ip", [list]), text, whose)}
			subsets := [{}, {list: [{"ip": "172.16.1.7"}, {"ip": text}]}]
			endpoint_addresses.violations == expected with input as fixtures.tenant_object("endpoints", {"subsets": subsets})
		}
	}
}

test_endpoint_slice if {
	every text, whose in bad {
		expected := {violation("endpoints[1].addresses[0]", text, whose)}
		endpoint_addresses.violations == expected with input as slice(["172.16.1.7", text])
	}
}

test_each_is_named if {
	expected := {
		violation("endpoints[0].addresses[0]", "172.16.2.7", bad["172.16.2.7"]),
		violation("endpoints[2].addresses[0]", "10.96.0.1", bad["10.96.0.1"]),
	}
	endpoint_addresses.violations == expected with input as slice(["172.16.2.7", "172.16.1.7", "10.96.0.1"])
}

test_address_is_missing if {
	expected := {violation("subsets[0].addresses[0].ip", "", "which is no IP address")}
	endpoint_addresses.violations == expected with input as fixtures.tenant_object("endpoints", {"subsets": [{"addresses": [{}]}]})
}

# The gateway of the tenant's own bridge is a node, behind which VXLAN is unpacked.
test_ports if {
	every number in [4789, 8472, 6081] {
		port := {"port": number, "protocol": "UDP"}
		endpoint_addresses.violations == {unpacked("subsets[0].ports[1].port", number)} with input as fixtures.tenant_object("endpoints", {"subsets": [{
			"addresses": [{"ip": "172.16.1.1"}],
			"ports": [{"port": 80, "protocol": "TCP"}, port],
		}]})
		endpoint_addresses.violations == {unpacked("ports[1].port", number)} with input as sliced_ports([{}, port])
		endpoint_addresses.violations == set() with input as sliced_ports([{"port": number, "protocol": "TCP"}, {"port": number}])
		endpoint_addresses.violations == set() with input as json.patch(
			sliced_ports([port]),
			[{"op": "replace", "path": "/request/user/name", "value": "system:serviceaccount:kube-system:endpointslice-controller"}],
		)
	}
	endpoint_addresses.violations == set() with input as sliced_ports([{"port": 53, "protocol": "UDP"}])
}

test_passes if {
	endpoint_addresses.violations == set() with input as slice(good)
	endpoint_addresses.violations == set() with input as fixtures.tenant_object("endpoints", {"subsets": [{"addresses": [{"ip": text} | some text in good]}]})
	every document in ["endpoints", "endpointSlice"] {
		endpoint_addresses.violations == set() with input as fixtures.tenant_object(document, {})
	}
}

test_writers if {
	users := {
		"system:serviceaccount:kube-system:endpoint-controller": set(),
		"system:serviceaccount:kube-system:endpointslice-controller": set(),
		"system:serviceaccount:kube-system:endpointslicemirroring-controller": refused,
		"system:serviceaccount:alice:endpointslice-controller": refused,
		"system:kube-controller-manager": refused,
		"endpointslice-controller": refused,
	}
	every user, expected in users {
		endpoint_addresses.violations == expected with input as json.patch(
			slice(["172.16.2.7"]),
			[{"op": "replace", "path": "/request/user/name", "value": user}],
		)
	}
}

refused := {violation("endpoints[0].addresses[0]", "172.16.2.7", bad["172.16.2.7"])}

slice(addresses) := fixtures.tenant_object("endpointSlice", {
	"addressType": "IPv4",
	"endpoints": [{"addresses": [text]} | some text in addresses],
})

sliced_ports(ports) := object.union(slice(["172.16.1.1"]), {"endpointSlice": {"ports": ports}})

unpacked(field, number) := report.in_field(
	field,
	sprintf("is %d for UDP, by which nodes unpack VXLAN or Geneve", [number]),
	"let the pods listen on another port",
)

violation(field, text, whose) := report.in_field(
	field,
	sprintf("is %q, %s", [text, whose]),
	"name only addresses of the tenant's own pods, or such outside the cluster as they may reach",
)
