package rules.firewall.proc_mount_test

import data.lib.fixtures
import data.rules.firewall.proc_mount

test_refused if {
	every host_users in [true, false] {
		every value in ["Unmasked", "unmasked", ""] {
			proc_mount.violations == fixtures.in_every_kind(
				"securityContext.procMount",
				sprintf("is %q, which lets the container change the pod's network settings", [value]),
				"use Default or leave it out",
			) with input as fixtures.every_kind_with({"hostUsers": host_users}, {"securityContext": {"procMount": value}})
		}
	}
}

test_passes if {
	every container in [{}, {"securityContext": {}}, {"securityContext": {"procMount": "Default"}}] {
		proc_mount.violations == set() with input as fixtures.every_kind_with({"hostUsers": false}, container)
	}
}
