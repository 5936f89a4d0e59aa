package main_test

import data.lib.fixtures
import data.main

test_runs_what_is_asked_for if {
	main.ran == {
		"pss-privileged": set(),
		"pss-host-path": set(),
		"fw-windows": {fixtures.in_pod(
			"spec.os.name",
			`is "windows", which cannot carry Bulkhead's firewall`,
			"use linux, or run the pod in a namespace without a tenant",
		)},
	} with input as asked({
		"pss-privileged": ["pod_security", "privileged"],
		"pss-host-path": ["pod_security", "host_path"],
		"fw-windows": ["firewall", "windows"],
	})
}

test_custom_rules if {
	main.ran == {"custom-x": {"a violation"}, "pss-privileged": set()} with input as asked({
		"custom-x": ["custom", "x"],
		"custom-y": ["custom", "y"],
		"pss-privileged": ["pod_security", "privileged"],
	})
		with data.bulkhead.custom.x.violations as {"a violation"}
}

test_nothing_asked_for if {
	main.ran == {} with input as asked({})
}

# Absent from the answer, which the engine takes for an error.
test_unknown_rule if {
	main.ran == {} with input as asked({"fw-of-the-future": ["firewall", "of_the_future"]})
}

asked(rules) := object.union(fixtures.pod({"os": {"name": "windows"}}), {"rules": rules})
