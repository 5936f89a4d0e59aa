package rules.pod_security.seccomp_test

import data.lib.fixtures
import data.rules.pod_security.seccomp

field := "securityContext.seccompProfile.type"

remedy := "use RuntimeDefault or Localhost, or leave the profile out"

test_every_kind if {
	every type in ["Unconfined", "unconfined", "runtime/default", ""] {
		expected := fixtures.in_every_kind(field, problem(type), remedy)
		seccomp.violations == expected with input as fixtures.every_kind({"securityContext": {"seccompProfile": {"type": type}}})
	}
}

test_pod if {
	expected := {fixtures.in_pod(concat(".", ["spec", field]), problem("Unconfined"), remedy)}
	seccomp.violations == expected with input as fixtures.pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})
}

# A good profile of the container does not cure the pod's, nor the other way round.
test_pod_and_container if {
	seccomp.violations == {fixtures.in_pod(concat(".", ["spec", field]), problem("Unconfined"), remedy)} with input as fixtures.every_kind_with(
		{"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
		{"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
	)
	seccomp.violations == fixtures.in_every_kind(field, problem("Unconfined"), remedy) with input as fixtures.every_kind_with(
		{"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
		{"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
	)
}

test_profile_without_type if {
	seccomp.violations == fixtures.in_every_kind(field, problem(""), remedy) with input as fixtures.every_kind({"securityContext": {"seccompProfile": {}}})
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
		{"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "p"}}},
	]
	every case in cases {
		seccomp.violations == set() with input as fixtures.every_kind(case)
	}
}

problem(value) := sprintf("is %s", [json.marshal(value)])
