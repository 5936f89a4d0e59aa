package rules.pod_security.run_as_non_root_test

import data.lib.fixtures
import data.rules.pod_security.run_as_non_root

field := "securityContext.runAsNonRoot"

test_false_in_every_kind if {
	expected := fixtures.in_every_kind(field, "is false", "set it to true")
	run_as_non_root.violations == expected with input as fixtures.every_kind_with(pod_sets(true), {"securityContext": {"runAsNonRoot": false}})
}

test_set_nowhere if {
	every spec in [{}, {"securityContext": {}}, {"hostUsers": true}] {
		every container in [{}, {"securityContext": {}}] {
			run_as_non_root.violations == unset with input as fixtures.every_kind_with(spec, container)
		}
	}
}

# The pod's false is refused though every container overrides it.
test_false_in_pod if {
	every container in [{}, {"securityContext": {"runAsNonRoot": true}}] {
		expected := {fixtures.in_pod(concat(".", ["spec", field]), "is false", "set it to true")}
		run_as_non_root.violations == expected with input as fixtures.every_kind_with(pod_sets(false), container)
	}
}

test_user_namespace if {
	explicit := fixtures.in_every_kind(field, "is false", "set it to true")
	run_as_non_root.violations == fixtures.until("v1.35", explicit) with input as fixtures.every_kind_with(
		object.union(pod_sets(true), {"hostUsers": false}),
		{"securityContext": {"runAsNonRoot": false}},
	)
	run_as_non_root.violations == fixtures.until("v1.35", unset) with input as fixtures.every_kind_with({"hostUsers": false}, {})
}

unset := fixtures.in_every_kind(field, "is set neither here nor in the pod's securityContext", "set it to true in one of them")

test_passes if {
	run_as_non_root.violations == set() with input as fixtures.every_kind_with(pod_sets(true), {})
	run_as_non_root.violations == set() with input as fixtures.every_kind({"securityContext": {"runAsNonRoot": true}})
	run_as_non_root.violations == set() with input as fixtures.pod({})
}

pod_sets(value) := {"securityContext": {"runAsNonRoot": value}}
