package rules.pod_security.restricted_capabilities_test

import data.lib.fixtures
import data.rules.pod_security.restricted_capabilities

test_not_dropped if {
	every list in [[], ["NET_RAW"], ["all"], ["CAP_ALL"]] {
		restricted_capabilities.violations == undropped with input as fixtures.every_kind(capabilities(list, []))
	}
	every container in [{}, {"securityContext": {}}, {"securityContext": {"capabilities": {}}}] {
		restricted_capabilities.violations == undropped with input as fixtures.every_kind(container)
	}
}

test_added if {
	every capability in ["CHOWN", "net_bind_service", "CAP_NET_BIND_SERVICE", "ALL", ""] {
		expected := added(1, capability)
		restricted_capabilities.violations == expected with input as fixtures.every_kind(capabilities(["ALL"], ["NET_BIND_SERVICE", capability]))
	}
}

test_user_namespace_is_no_excuse if {
	restricted_capabilities.violations == undropped with input as fixtures.every_kind_with({"hostUsers": false}, {})
}

test_windows if {
	expected := fixtures.until("v1.25", undropped | added(0, "CHOWN"))
	restricted_capabilities.violations == expected with input as fixtures.every_kind_with({"os": {"name": "windows"}}, capabilities([], ["CHOWN"]))
	restricted_capabilities.violations == undropped with input as fixtures.every_kind_with({"os": {"name": "linux"}}, {})
}

test_passes if {
	cases := [
		capabilities(["ALL"], []),
		capabilities(["NET_RAW", "ALL"], []),
		capabilities(["ALL"], ["NET_BIND_SERVICE"]),
	]
	every case in cases {
		restricted_capabilities.violations == set() with input as fixtures.every_kind(case)
	}
}

undropped := fixtures.in_every_kind("securityContext.capabilities.drop", `lacks "ALL": unrestricted capabilities`, "drop ALL")

added(index, capability) := fixtures.in_every_kind(
	sprintf("securityContext.capabilities.add[%d]", [index]),
	sprintf("is %s: unrestricted capabilities", [json.marshal(capability)]),
	"remove it: only NET_BIND_SERVICE may be added",
)

capabilities(drop, add) := {"securityContext": {"capabilities": {"drop": drop, "add": add}}}
