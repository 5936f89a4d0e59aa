package rules.pod_security.seccomp_test

import data.lib.fixtures
import data.rules.pod_security.seccomp

field := "securityContext.seccompProfile.type"

remedy := "use RuntimeDefault or Localhost, or leave the profile out"

test_every_kind if {
	every type in ["Unconfined", "unconfined", "runtime/default", ""] {
		expected := since(fixtures.in_every_kind(field, problem(type), remedy))
		seccomp.violations == expected with input as fixtures.every_kind({"securityContext": {"seccompProfile": {"type": type}}})
	}
}

test_pod if {
	expected := since({fixtures.in_pod(concat(".", ["spec", field]), problem("Unconfined"), remedy)})
	seccomp.violations == expected with input as fixtures.pod({"securityContext": {"seccompProfile": {"type": "Unconfined"}}})
}

# A good profile of the container does not cure the pod's, nor the other way round.
test_pod_and_container if {
	seccomp.violations == since({fixtures.in_pod(concat(".", ["spec", field]), problem("Unconfined"), remedy)}) with input as fixtures.every_kind_with(
		{"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
		{"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
	)
	seccomp.violations == since(fixtures.in_every_kind(field, problem("Unconfined"), remedy)) with input as fixtures.every_kind_with(
		{"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
		{"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
	)
}

test_profile_without_type if {
	seccomp.violations == since(fixtures.in_every_kind(field, problem(""), remedy)) with input as fixtures.every_kind({"securityContext": {"seccompProfile": {}}})
}

test_annotation_of_the_pod if {
	every value in ["unconfined", "Runtime/Default", "localhost", "docker/other", ""] {
		key := "seccomp.security.alpha.kubernetes.io/pod"
		seccomp.violations == {annotated(key, value)} with input as fixtures.annotated({key: value}, {})
	}
}

test_annotations_of_containers if {
	prefix := "container.seccomp.security.alpha.kubernetes.io/"
	expected := {annotated(concat("", [prefix, name]), "unconfined") | some name in fixtures.names}
	annotations := {concat("", [prefix, name]): "unconfined" | some name in {"app", "init", "debugger", "nobody"}}
	seccomp.violations == expected with input as object.union(
		fixtures.annotated(annotations, {}),
		fixtures.every_kind({}),
	)
}

test_annotation_of_a_container_without_name if {
	key := "container.seccomp.security.alpha.kubernetes.io/"
	seccomp.violations == {annotated(key, "unconfined")} with input as fixtures.annotated(
		{key: "unconfined"},
		{"containers": [{}]},
	)
}

test_allowed_annotations if {
	every value in ["runtime/default", "docker/default", "localhost/", "localhost/profile"] {
		seccomp.violations == set() with input as fixtures.annotated({"seccomp.security.alpha.kubernetes.io/pod": value}, {})
	}
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

since(violations) := fixtures.since("v1.19", violations)

annotated(key, value) := object.union(
	fixtures.in_pod(
		sprintf("metadata.annotations[%q]", [key]),
		sprintf("is %s, a forbidden seccompProfile", [json.marshal(value)]),
		"use runtime/default or localhost/<profile>, or remove the annotation",
	),
	{"until": "v1.19"},
)
