package rules.pod_security.restricted_proc_mount_test

import data.lib.fixtures
import data.rules.pod_security.restricted_proc_mount

test_every_kind if {
	every value in ["Unmasked", "unmasked", "default", ""] {
		expected := fixtures.in_every_kind("securityContext.procMount", problem(value), "use Default or leave it out")
		restricted_proc_mount.violations == expected with input as fixtures.every_kind({"securityContext": {"procMount": value}})
	}
}

test_user_namespace if {
	every value in [true, false] {
		expected := fixtures.in_every_kind("securityContext.procMount", problem("Unmasked"), "use Default or leave it out")
		restricted_proc_mount.violations == expected with input as fixtures.every_kind_with({"hostUsers": value}, {"securityContext": {"procMount": "Unmasked"}})
	}
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"procMount": "Default"}},
	]
	every case in cases {
		restricted_proc_mount.violations == set() with input as fixtures.every_kind(case)
	}
}

problem(value) := sprintf("is %s", [json.marshal(value)])
