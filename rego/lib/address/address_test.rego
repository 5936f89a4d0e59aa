package lib.address_test

import data.lib.address
import data.lib.fixtures

# The tenant has 172.16.1.0/24 and fd00:1:0:1::/64.
own := ["172.16.1.0", "172.16.1.255", "fd00:1:0:1::", "FD00:1:0:1:ffff::1", "::ffff:172.16.1.7"]

cluster := [
	"172.16.2.1", "fd00:1:0:2::1", # other tenants'
	"10.244.1.1", "fd00:2::1", # pods
	"10.96.0.1", "fd00:3::1", # Services
	"192.168.0.10", "::ffff:192.168.0.10", # nodes
]

special := ["169.254.169.254", "127.0.0.1", "0.0.0.0", "::", "::1", "fe80::1", "ff02::1", "239.1.1.1", "255.255.255.255", "168.63.129.16", "fd00:ec2::254"]

outside := ["1.1.1.1", "203.0.113.7", "2001:db8::1"]

nonsense := ["", "x", "1.1.1", "01.1.1.1", "1.1.1.1/24", "1.1.1.1/32", "fe80::1%eth0", " 1.1.1.1", "::ffff:1.1.1.1.1"]

test_safe if {
	every text in array.concat(own, outside) {
		address.safe(text) with input as fixtures.service({})
	}
	every text in array.flatten([cluster, special, nonsense]) {
		not address.safe(text) with input as fixtures.service({})
	}
}

test_own if {
	every text in own {
		address.own(text) with input as fixtures.service({})
		not address.outside(text) with input as fixtures.service({})
	}
}

# The tenant's own firewall lets its pods reach no address outside.
test_closed if {
	every text in outside {
		not address.safe(text) with input as closed
		address.whose(text) == "which is not the tenant's to reach" with input as closed
	}
	every text in own {
		address.safe(text) with input as closed
	}
}

closed := json.patch(fixtures.service({}), [{"op": "replace", "path": "/tenant/external", "value": false}])

test_ranges_unknown if {
	every text in array.flatten([own, outside, cluster]) {
		not address.safe(text) with input as {"tenant": {"cidrs": [], "external": true}}
		not address.outside(text) with input as {"tenant": {"cidrs": []}, "cluster": {"tenantCIDRs": []}}
	}
}

# Tenants with addressing identity have no ranges of their own: the tenant's are those of
# the object's addresses that its pods hold.
test_identity if {
	identity := json.patch(fixtures.service({}), [
		{"op": "replace", "path": "/tenant/cidrs", "value": ["10.244.1.7/32"]},
		{"op": "replace", "path": "/cluster/tenantCIDRs", "value": []},
	])
	every text in array.concat(outside, ["10.244.1.7"]) {
		address.safe(text) with input as identity
	}
	every text in array.flatten(["10.244.1.8", "10.96.0.1", "192.168.0.10", special, nonsense]) {
		not address.safe(text) with input as identity
	}
	every ranges in ["podCIDRs", "serviceCIDRs", "nodeCIDRs"] {
		unknown := json.patch(identity, [{"op": "replace", "path": sprintf("/cluster/%s", [ranges]), "value": []}])
		every text in outside {
			not address.safe(text) with input as unknown
		}
	}
}

test_without_tenant if {
	every text in array.concat(own, outside) {
		not address.safe(text) with input as object.remove(fixtures.service({}), ["tenant"])
	}
}

test_whose if {
	every text in nonsense {
		address.whose(text) == "which is no IP address" with input as fixtures.service({})
	}
	every text in cluster {
		address.whose(text) == "which is the cluster's or another tenant's" with input as fixtures.service({})
	}
	every text in special {
		address.whose(text) == "which is not the tenant's to reach" with input as fixtures.service({})
	}
}
