package rules.pod_security.privilege_escalation_test

import data.lib.fixtures
import data.rules.pod_security.privilege_escalation

field := "securityContext.allowPrivilegeEscalation"

problem := "is not false"

test_every_kind if {
	every container in [{}, {"securityContext": {}}, {"securityContext": {"allowPrivilegeEscalation": true}}] {
		expected := fixtures.in_every_kind(field, problem, "set it to false")
		privilege_escalation.violations == expected with input as fixtures.every_kind(container)
	}
}

test_other_systems if {
	every system in [{"name": "linux"}, {"name": "Windows"}, {}] {
		expected := fixtures.in_every_kind(field, problem, "set it to false")
		privilege_escalation.violations == expected with input as fixtures.every_kind_with({"os": system}, {})
	}
}

test_windows if {
	expected := fixtures.until("v1.25", fixtures.in_every_kind(field, problem, "set it to false"))
	privilege_escalation.violations == expected with input as fixtures.every_kind_with({"os": {"name": "windows"}}, {})
}

test_passes if {
	cases := [
		{"securityContext": {"allowPrivilegeEscalation": false}},
	]
	every case in cases {
		privilege_escalation.violations == set() with input as fixtures.every_kind(case)
	}
}

test_genuine_sidecar_is_left_out if {
	privilege_escalation.violations == violated with input as fixtures.tenant_pod([
		fixtures.init,
		fixtures.firewall,
	])
}

# Only the application's container of the tenant's pod.
violated := {fixtures.in_container("containers", field, problem, "set it to false")}
