package rules.pod_security.proc_mount_test

import data.lib.fixtures
import data.rules.pod_security.proc_mount

test_every_kind if {
	every value in ["Unmasked", "unmasked", "default", ""] {
		expected := fixtures.in_every_kind("securityContext.procMount", problem(value), "use Default or leave it out")
		proc_mount.violations == expected with input as fixtures.every_kind({"securityContext": {"procMount": value}})
	}
}

test_user_namespace if {
	expected := fixtures.in_every_kind("securityContext.procMount", problem("Unmasked"), "use Default or leave it out")
	unmasked := {"securityContext": {"procMount": "Unmasked"}}
	proc_mount.violations == expected with input as fixtures.every_kind_with({"hostUsers": true}, unmasked)
	proc_mount.violations == fixtures.until("v1.35", expected) with input as fixtures.every_kind_with({"hostUsers": false}, unmasked)
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"procMount": "Default"}},
	]
	every case in cases {
		proc_mount.violations == set() with input as fixtures.every_kind(case)
	}
}

problem(value) := sprintf("is %s", [json.marshal(value)])
