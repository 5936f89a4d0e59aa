package rules.firewall.sidecar_genuine_test

import data.lib.fixtures
import data.rules.firewall.sidecar_genuine

test_genuine if {
	sidecar_genuine.violations == set() with input as fixtures.tenant_pod([fixtures.init, fixtures.firewall])
	sidecar_genuine.violations == set() with input as fixtures.tenant_pod([fixtures.init, fixtures.firewall, {"name": "init"}])
}

test_missing if {
	sidecar_genuine.violations == {
		violation(0, "bulkhead-init", "is missing"),
		violation(1, "bulkhead-firewall", "is missing"),
	} with input as fixtures.tenant_pod([])
	sidecar_genuine.violations == {violation(1, "bulkhead-firewall", "is missing")} with input as fixtures.tenant_pod([fixtures.init])
}

# L1: something else runs first.
test_position if {
	sidecar_genuine.violations == {
		violation(0, "bulkhead-init", "differs in args, image, name, securityContext"),
		violation(1, "bulkhead-firewall", "differs in args, name, restartPolicy"),
	} with input as fixtures.tenant_pod([{"name": "first"}, fixtures.init, fixtures.firewall])
	sidecar_genuine.violations == {
		violation(0, "bulkhead-init", "differs in args, name, restartPolicy"),
		violation(1, "bulkhead-firewall", "differs in args, name, restartPolicy"),
	} with input as fixtures.tenant_pod([fixtures.firewall, fixtures.init])
}

# L3: the genuine image, but another command, environment, probe, resource ...
test_any_other_field if {
	changes := [
		{"image": "other"}, {"command": ["sleep"]}, {"args": ["run", "x"]}, {"args": []}, {"env": [{"name": "A"}]},
		{"envFrom": []}, {"lifecycle": {}}, {"livenessProbe": {}}, {"resources": {}}, {"tty": true},
		{"restartPolicy": "Never"}, {"securityContext": {}}, {"securityContext": {"privileged": true}},
		{"fieldOfTheFuture": 1},
	]
	every change in changes {
		[field] := [key | some key in object.keys(change)]
		sidecar_genuine.violations == {violation(1, "bulkhead-firewall", concat(" ", ["differs in", field]))} with input as fixtures.tenant_pod([
			fixtures.init,
			object.union(object.remove(fixtures.firewall, [field]), change),
		])
	}
}

# A volume of the tenant's in the place of the token's.
test_volume if {
	sidecar_genuine.violations == set() with input as fixtures.reporting_pod([fixtures.volume])
	every found in [[], [{"name": "bulkhead-token", "emptyDir": {}}], [fixtures.volume, fixtures.volume]] {
		sidecar_genuine.violations == {other_volume} with input as fixtures.reporting_pod(found)
	}
}

test_volume_where_none_is_injected if {
	sidecar_genuine.violations == {other_volume} with input as object.union(
		fixtures.tenant_pod(fixtures.sidecar),
		{"sidecar": {"volumes": {"found": [fixtures.volume]}}},
	)
}

other_volume := {
	"container": "",
	"field": "spec.volumes",
	"message": `spec.volumes: "bulkhead-token" is not what Bulkhead injects there`,
	"remedy": "leave this volume to Bulkhead's webhook, and give your own another name",
}

violation(index, name, difference) := {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is not what Bulkhead injects there: it %s", [name, field, difference]),
	"remedy": "leave this container and its place to Bulkhead's webhook, and let no other webhook change them",
} if {
	field := sprintf("spec.initContainers[%d]", [index])
}
