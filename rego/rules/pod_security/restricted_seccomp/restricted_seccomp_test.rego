package rules.pod_security.restricted_seccomp_test

import data.lib.fixtures
import data.rules.pod_security.restricted_seccomp

field := "securityContext.seccompProfile"

remedy := "use RuntimeDefault or Localhost"

test_bad_in_every_kind if {
	every type in ["Unconfined", "runtime/default", ""] {
		expected := fixtures.in_every_kind(concat(".", [field, "type"]), problem(type), remedy)
		restricted_seccomp.violations == expected with input as fixtures.every_kind_with(profile("RuntimeDefault"), profile(type))
	}
}

test_set_nowhere if {
	every spec in [{}, {"securityContext": {}}] {
		restricted_seccomp.violations == unset with input as fixtures.every_kind_with(spec, spec)
	}
}

# The pod's bad profile is refused though every container overrides it.
test_bad_in_pod if {
	every container in [{}, profile("Localhost")] {
		expected := {fixtures.in_pod(concat(".", ["spec", field, "type"]), problem("Unconfined"), remedy)}
		restricted_seccomp.violations == expected with input as fixtures.every_kind_with(profile("Unconfined"), container)
	}
}

test_profile_without_type if {
	expected := {fixtures.in_pod(concat(".", ["spec", field, "type"]), problem(""), remedy)}
	restricted_seccomp.violations == expected with input as fixtures.every_kind_with({"securityContext": {"seccompProfile": {}}}, {})
}

test_windows if {
	restricted_seccomp.violations == fixtures.until("v1.25", unset) with input as fixtures.every_kind_with({"os": {"name": "windows"}}, {})
	restricted_seccomp.violations == unset with input as fixtures.every_kind_with({"os": {"name": "linux"}}, {})
	bad := fixtures.in_every_kind(concat(".", [field, "type"]), problem("Unconfined"), remedy)
	restricted_seccomp.violations == fixtures.until("v1.25", bad) with input as fixtures.every_kind_with({"os": {"name": "windows"}}, profile("Unconfined"))
}

unset := fixtures.in_every_kind(
	field,
	"is set neither here nor in the pod's securityContext",
	"use RuntimeDefault or Localhost in one of them",
)

test_passes if {
	every type in ["RuntimeDefault", "Localhost"] {
		restricted_seccomp.violations == set() with input as fixtures.every_kind_with(profile(type), {})
		restricted_seccomp.violations == set() with input as fixtures.every_kind(profile(type))
	}
	restricted_seccomp.violations == set() with input as fixtures.pod({})
}

profile(type) := {"securityContext": {"seccompProfile": {"type": type}}}

problem(value) := sprintf("is %s", [json.marshal(value)])
