package rules.pod_security.privileged_test

import data.lib.fixtures
import data.rules.pod_security.privileged

remedy := "set it to false or leave it out"

test_true_in_every_kind if {
	expected := fixtures.in_every_kind("securityContext.privileged", "is true", remedy)
	privileged.violations == expected with input as fixtures.every_kind({"securityContext": {"privileged": true}})
}

test_one_of_many_containers if {
	privileged.violations == {{
		"container": "b",
		"field": "spec.containers[1].securityContext.privileged",
		"message": `container "b": spec.containers[1].securityContext.privileged is true`,
		"remedy": remedy,
	}} with input as fixtures.pod({"containers": [
		{"name": "a"},
		{"name": "b", "securityContext": {"privileged": true}},
		{"name": "c", "securityContext": {"privileged": false}},
	]})
}

test_container_without_name if {
	privileged.violations == {{
		"container": "",
		"field": "spec.containers[0].securityContext.privileged",
		"message": `container "": spec.containers[0].securityContext.privileged is true`,
		"remedy": remedy,
	}} with input as fixtures.pod({"containers": [{"securityContext": {"privileged": true}}]})
}

test_passes if {
	cases := [
		{},
		{"securityContext": {}},
		{"securityContext": {"privileged": false}},
	]
	every case in cases {
		privileged.violations == set() with input as fixtures.every_kind(case)
	}
}

test_genuine_sidecar_is_left_out if {
	privileged.violations == set() with input as fixtures.tenant_pod([
		fixtures.init,
		fixtures.firewall,
	])
}
