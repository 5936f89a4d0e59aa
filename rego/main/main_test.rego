package main_test

import data.lib.fixtures
import data.main

test_runs_what_is_asked_for if {
	main.ran == {
		"pod_security": {"privileged": set(), "host_path": set()},
		"firewall": {"windows": {fixtures.in_pod(
			"spec.os.name",
			`is "windows", which cannot carry Bulkhead's firewall`,
			"use linux, or run the pod in a namespace without a tenant",
		)}},
	} with input as asked([["pod_security", "privileged"], ["pod_security", "host_path"], ["firewall", "windows"]])
}

test_nothing_asked_for if {
	main.ran == {} with input as asked([])
}

# Absent from the answer, which the engine takes for an error.
test_unknown_rule if {
	main.ran == {} with input as asked([["pod_security", "of_the_future"]])
}

asked(rules) := object.union(fixtures.pod({"os": {"name": "windows"}}), {"rules": rules})
