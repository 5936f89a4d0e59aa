package rules.pod_security.selinux_test

import data.lib.fixtures
import data.rules.pod_security.selinux

remedy := "leave it out, or use one of the allowed types"

test_every_field_of_every_kind if {
	every field, value in {"type": "spc_t", "user": "system_u", "role": "system_r"} {
		expected := fixtures.in_every_kind(path(field), problem(value), remedy)
		selinux.violations == expected with input as fixtures.every_kind({"securityContext": {"seLinuxOptions": {field: value}}})
	}
}

test_pod if {
	selinux.violations == {
		fixtures.in_pod(concat(".", ["spec", path("type")]), problem("unconfined_t"), remedy),
		fixtures.in_pod(concat(".", ["spec", path("user")]), problem("u"), remedy),
	} with input as fixtures.pod({"securityContext": {"seLinuxOptions": {"type": "unconfined_t", "user": "u", "role": ""}}})
}

test_each_allowed_type if {
	every type in ["container_t", "container_init_t", "container_kvm_t", ""] {
		selinux.violations == set() with input as fixtures.every_kind({"securityContext": {"seLinuxOptions": {"type": type}}})
	}
}

test_engine if {
	every field in ["type", "user", "role"] {
		expected := fixtures.in_every_kind(path(field), problem("container_engine_t"), remedy)
		versioned := {"type": fixtures.until("v1.31", expected), "user": expected, "role": expected}
		selinux.violations == versioned[field] with input as fixtures.every_kind({"securityContext": {"seLinuxOptions": {field: "container_engine_t"}}})
	}
}

test_passes if {
	cases := [
		{},
		{"securityContext": {"seLinuxOptions": {}}},
		{"securityContext": {"seLinuxOptions": {"level": "s0:c1,c2", "user": "", "role": ""}}},
	]
	every case in cases {
		selinux.violations == set() with input as fixtures.every_kind(case)
	}
}

path(field) := concat(".", ["securityContext.seLinuxOptions", field])

problem(value) := sprintf("is %s", [json.marshal(value)])
