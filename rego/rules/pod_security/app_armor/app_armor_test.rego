package rules.pod_security.app_armor_test

import data.lib.fixtures
import data.rules.pod_security.app_armor

field := "securityContext.appArmorProfile.type"

remedy := "use RuntimeDefault or Localhost, or leave the profile out"

test_every_kind if {
	every type in ["Unconfined", "unconfined", "runtimedefault", ""] {
		expected := fixtures.in_every_kind(field, problem(type), remedy)
		app_armor.violations == expected with input as fixtures.every_kind({"securityContext": {"appArmorProfile": {"type": type}}})
	}
}

test_pod if {
	expected := {fixtures.in_pod(concat(".", ["spec", field]), problem("Unconfined"), remedy)}
	app_armor.violations == expected with input as fixtures.every_kind_with({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}, {})
}

test_profile_without_type if {
	expected := {fixtures.in_pod(concat(".", ["spec", field]), problem(""), remedy)}
	app_armor.violations == expected with input as fixtures.pod({"securityContext": {"appArmorProfile": {}}})
}

# The annotation counts whether or not a container has that name.
test_annotation if {
	every value in ["unconfined", "Runtime/default", "localhost", "runtime/default/"] {
		app_armor.violations == {fixtures.in_pod(
			`metadata.annotations["container.apparmor.security.beta.kubernetes.io/none"]`,
			problem(value),
			"use runtime/default or localhost/<profile>, or remove the annotation",
		)} with input as fixtures.annotated({"container.apparmor.security.beta.kubernetes.io/none": value}, {"containers": [{"name": "app"}]})
	}
}

test_annotation_passes if {
	every value in ["", "runtime/default", "localhost/profile", "localhost/"] {
		app_armor.violations == set() with input as fixtures.annotated({"container.apparmor.security.beta.kubernetes.io/app": value}, {})
	}
	app_armor.violations == set() with input as fixtures.annotated({"container.apparmor.security.beta.kubernetes.io": "unconfined"}, {})
}

test_no_metadata if {
	app_armor.violations == set() with input as {"object": {"spec": {}}}
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}},
		{"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "p"}}},
	]
	every case in cases {
		app_armor.violations == set() with input as fixtures.every_kind(case)
	}
}

problem(value) := sprintf("is %s, a forbidden AppArmor profile", [json.marshal(value)])
