package rules.pod_security.host_process_test

import data.lib.fixtures
import data.rules.pod_security.host_process

field := "securityContext.windowsOptions.hostProcess"

remedy := "set it to false or leave it out"

options := {"windowsOptions": {"hostProcess": true}}

test_true_in_every_kind if {
	expected := fixtures.in_every_kind(field, "is true", remedy)
	host_process.violations == expected with input as fixtures.every_kind({"securityContext": options})
}

test_true_in_pod if {
	expected := {fixtures.in_pod(concat(".", ["spec", field]), "is true", remedy)}
	host_process.violations == expected with input as fixtures.every_kind_with({"securityContext": options}, {})
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"windowsOptions": {}}},
		{"securityContext": {"windowsOptions": {"hostProcess": false}}},
	]
	every case in cases {
		host_process.violations == set() with input as fixtures.every_kind(case)
	}
}
