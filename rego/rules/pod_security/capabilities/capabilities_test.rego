package rules.pod_security.capabilities_test

import data.lib.fixtures
import data.rules.pod_security.capabilities

test_every_kind if {
	expected := fixtures.in_every_kind("securityContext.capabilities.add[0]", problem("SYS_ADMIN"), "remove it")
	capabilities.violations == expected with input as fixtures.every_kind(adding(["SYS_ADMIN"]))
}

# Any spelling but the exact one, and what is no capability at all.
test_spellings if {
	spellings := [
		"ALL", "all", "CAP_SYS_ADMIN", "sys_admin", "cap_sys_admin", "NET_RAW", "net_raw", "CAP_NET_RAW", "NET_ADMIN",
		"CAP_CHOWN", "chown", "Chown", " CHOWN", "CHOWN ", "CHOWN\n", "", "BPF", "SYS_PTRACE",
	]
	every spelling in spellings {
		expected := fixtures.in_every_kind("securityContext.capabilities.add[0]", problem(spelling), "remove it")
		capabilities.violations == expected with input as fixtures.every_kind(adding([spelling]))
	}
}

test_names_each_capability if {
	capabilities.violations == {
		fixtures.in_container("containers", "securityContext.capabilities.add[1]", problem("SYS_ADMIN"), "remove it"),
		fixtures.in_container("containers", "securityContext.capabilities.add[2]", problem("NET_ADMIN"), "remove it"),
	} with input as fixtures.pod({"containers": [object.union({"name": "app"}, adding(["CHOWN", "SYS_ADMIN", "NET_ADMIN"]))]})
}

# A capability in a user namespace still owns the pod's network namespace (D8).
test_user_namespace_is_no_excuse if {
	expected := fixtures.in_every_kind("securityContext.capabilities.add[0]", problem("NET_ADMIN"), "remove it")
	capabilities.violations == expected with input as fixtures.every_kind_with({"hostUsers": false}, adding(["NET_ADMIN"]))
}

test_each_allowed_capability if {
	every capability in capabilities.allowed {
		capabilities.violations == set() with input as fixtures.every_kind(adding([capability]))
	}
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"capabilities": {}}},
		adding([]),
		{"securityContext": {"capabilities": {"drop": ["SYS_ADMIN", "ALL"]}}},
	]
	every case in cases {
		capabilities.violations == set() with input as fixtures.every_kind(case)
	}
}

test_genuine_sidecar_is_left_out if {
	capabilities.violations == set() with input as fixtures.tenant_pod([
		fixtures.init,
		fixtures.firewall,
	])
}

problem(value) := sprintf("is %s, none of the allowed capabilities", [json.marshal(value)])

adding(list) := {"securityContext": {"capabilities": {"add": list}}}
