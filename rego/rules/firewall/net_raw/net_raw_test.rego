package rules.firewall.net_raw_test

import data.lib.fixtures
import data.rules.firewall.net_raw

test_not_dropped if {
	every list in [[], ["CHOWN"], ["CAP_NET_RAW"], ["net_raw"], ["all"], ["NET_RAW "]] {
		net_raw.violations == undropped with input as fixtures.every_kind(capabilities(list, []))
	}
	every container in [{}, {"securityContext": {}}, {"securityContext": {"capabilities": {}}}] {
		net_raw.violations == undropped with input as fixtures.every_kind(container)
	}
}

test_added_back if {
	every drop in ["NET_RAW", "ALL"] {
		every spelling in ["NET_RAW", "CAP_NET_RAW", "net_raw", "Cap_Net_Raw", "ALL", "all", "CAP_ALL"] {
			expected := fixtures.in_every_kind(
				"securityContext.capabilities.add[1]",
				sprintf("is %q, which brings raw sockets back", [spelling]),
				"remove it",
			)
			net_raw.violations == expected with input as fixtures.every_kind(capabilities([drop], ["CHOWN", spelling]))
		}
	}
}

test_user_namespace_is_no_excuse if {
	net_raw.violations == undropped with input as fixtures.every_kind_with({"hostUsers": false}, {})
}

test_genuine_sidecar_is_left_out if {
	net_raw.violations == {fixtures.in_container(
		"containers",
		"securityContext.capabilities.drop",
		`has neither "NET_RAW" nor "ALL"`,
		"drop NET_RAW",
	)} with input as fixtures.tenant_pod([fixtures.init, fixtures.firewall])
}

test_passes if {
	cases := [
		capabilities(["NET_RAW"], []),
		capabilities(["CHOWN", "NET_RAW"], ["CHOWN"]),
		capabilities(["ALL"], ["NET_ADMIN"]),
	]
	every case in cases {
		net_raw.violations == set() with input as fixtures.every_kind(case)
	}
}

undropped := fixtures.in_every_kind(
	"securityContext.capabilities.drop",
	`has neither "NET_RAW" nor "ALL"`,
	"drop NET_RAW",
)

capabilities(drop, add) := {"securityContext": {"capabilities": {"drop": drop, "add": add}}}
