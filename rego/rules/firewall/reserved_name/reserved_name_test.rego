package rules.firewall.reserved_name_test

import data.lib.fixtures
import data.rules.firewall.reserved_name

test_in_place if {
	reserved_name.violations == set() with input as fixtures.tenant_pod([fixtures.init, fixtures.firewall])
}

# What is in the place but not genuine is for fw-sidecar-genuine to refuse.
test_in_place_but_not_genuine if {
	reserved_name.violations == set() with input as fixtures.tenant_pod([{"name": "bulkhead-init"}, {"name": "bulkhead-firewall"}])
}

test_elsewhere if {
	every name in ["bulkhead-init", "bulkhead-firewall"] {
		reserved_name.violations == {
			violation(name, "spec.initContainers[2].name"),
			violation(name, "spec.containers[0].name"),
			violation(name, "spec.ephemeralContainers[0].name"),
		} with input as object.union(
			fixtures.tenant_pod([fixtures.init, fixtures.firewall, {"name": name}]),
			{"object": {"spec": {"containers": [{"name": name}], "ephemeralContainers": [{"name": name}]}}},
		)
	}
}

test_exchanged if {
	reserved_name.violations == {
		violation("bulkhead-firewall", "spec.initContainers[0].name"),
		violation("bulkhead-init", "spec.initContainers[1].name"),
	} with input as fixtures.tenant_pod([{"name": "bulkhead-firewall"}, {"name": "bulkhead-init"}])
}

# Without a tenant there is no place for them at all.
test_without_tenant if {
	reserved_name.violations == {
		violation("bulkhead-init", "spec.initContainers[0].name"),
		violation("bulkhead-firewall", "spec.initContainers[1].name"),
	} with input as fixtures.pod({"initContainers": fixtures.sidecar})
}

test_target if {
	every target in ["bulkhead-init", "bulkhead-firewall"] {
		reserved_name.violations == {fixtures.in_container(
			"ephemeralContainers",
			"targetContainerName",
			sprintf("is %q, a container of Bulkhead's firewall", [target]),
			"target another container",
		)} with input as fixtures.pod({"ephemeralContainers": [{"name": "debugger", "targetContainerName": target}]})
	}
}

test_mount if {
	mounts := [{"name": "data"}, {"name": "bulkhead-token"}]
	pod := fixtures.every_kind({"volumeMounts": mounts})
	reserved_name.violations == set() with input as pod
	reserved_name.violations == fixtures.in_every_kind(
		"volumeMounts[1].name",
		"is of the volume of Bulkhead's firewall",
		"mount another volume",
	) with input as object.union(pod, {"sidecar": {"expected": fixtures.sidecar, "found": []}})
}

# What is in the place but not genuine is for fw-sidecar-genuine to refuse.
test_mount_in_place if {
	reserved_name.violations == set() with input as fixtures.reporting_pod([fixtures.volume])
	reserved_name.violations == set() with input as fixtures.tenant_pod([{"name": "bulkhead-init", "volumeMounts": [fixtures.mount]}])
}

test_other_names if {
	reserved_name.violations == set() with input as fixtures.every_kind({})
	every target in ["app", ""] {
		reserved_name.violations == set() with input as fixtures.pod({"ephemeralContainers": [{"name": "bulkhead", "targetContainerName": target}]})
	}
}

violation(name, field) := {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is reserved for Bulkhead's firewall", [name, field]),
	"remedy": "use another name",
}
