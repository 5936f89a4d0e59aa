package rules.pod_security.run_as_user_test

import data.lib.fixtures
import data.rules.pod_security.run_as_user

field := "securityContext.runAsUser"

remedy := "use a user other than 0, or leave it out"

test_zero_in_every_kind if {
	expected := fixtures.in_every_kind(field, "is 0", remedy)
	run_as_user.violations == expected with input as fixtures.every_kind({"securityContext": {"runAsUser": 0}})
}

# The pod's 0 is refused though every container overrides it.
test_zero_in_pod if {
	expected := {fixtures.in_pod(concat(".", ["spec", field]), "is 0", remedy)}
	run_as_user.violations == expected with input as fixtures.every_kind_with({"securityContext": {"runAsUser": 0}}, {"securityContext": {"runAsUser": 1}})
}

test_user_namespace if {
	expected := fixtures.in_every_kind(field, "is 0", remedy)
	run_as_user.violations == expected with input as fixtures.every_kind_with({"hostUsers": true}, {"securityContext": {"runAsUser": 0}})
	run_as_user.violations == fixtures.until("v1.35", expected) with input as fixtures.every_kind_with({"hostUsers": false}, {"securityContext": {"runAsUser": 0}})
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"runAsUser": 1}},
		{"securityContext": {"runAsUser": 65532}},
	]
	every case in cases {
		run_as_user.violations == set() with input as fixtures.every_kind(case)
	}
}
