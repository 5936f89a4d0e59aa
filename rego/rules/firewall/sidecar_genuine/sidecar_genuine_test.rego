package rules.firewall.sidecar_genuine_test

import data.lib.fixtures
import data.rules.firewall.sidecar_genuine

test_genuine if {
	sidecar_genuine.violations == set() with input as fixtures.tenant_pod([init, firewall])
	sidecar_genuine.violations == set() with input as fixtures.tenant_pod([init, firewall, {"name": "init"}])
}

# L15: what the API server's ServiceAccount plugin adds.
test_token_mount if {
	every container in [object.union(init, {"volumeMounts": [token_mount]})] {
		sidecar_genuine.violations == set() with input as fixtures.tenant_pod([container, firewall])
	}
}

test_other_mounts if {
	mounts := [
		[],
		[token_mount, token_mount],
		[object.union(token_mount, {"readOnly": false})],
		[object.remove(token_mount, ["readOnly"])],
		[object.union(token_mount, {"name": "kube-api-acces-x"})],
		[object.union(token_mount, {"mountPath": "/bulkhead-firewall"})],
		[object.union(token_mount, {"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount/"})],
		[object.union(token_mount, {"subPath": "x"})],
		[object.union(token_mount, {"subPathExpr": "$(X)"})],
		[object.union(token_mount, {"mountPropagation": "Bidirectional"})],
		[token_mount, {"name": "tools", "mountPath": "/usr/sbin"}],
	]
	every list in mounts {
		sidecar_genuine.violations == {violation(0, "bulkhead-init", "differs in volumeMounts")} with input as fixtures.tenant_pod([
			object.union(init, {"volumeMounts": list}),
			firewall,
		])
	}
}

test_missing if {
	every spec in [{}, {"initContainers": null}, {"initContainers": []}] {
		sidecar_genuine.violations == {
			violation(0, "bulkhead-init", "is missing"),
			violation(1, "bulkhead-firewall", "is missing"),
		} with input as object.union(fixtures.pod(spec), {"sidecar": fixtures.sidecar})
	}
}

# L1: something else runs first.
test_position if {
	sidecar_genuine.violations == {
		violation(0, "bulkhead-init", "differs in args, image, name, securityContext"),
		violation(1, "bulkhead-firewall", "differs in args, name, restartPolicy"),
	} with input as fixtures.tenant_pod([{"name": "first"}, init, firewall])
	sidecar_genuine.violations == {
		violation(0, "bulkhead-init", "differs in args, name, restartPolicy"),
		violation(1, "bulkhead-firewall", "differs in args, name, restartPolicy"),
	} with input as fixtures.tenant_pod([firewall, init])
}

# L3: the genuine image, but another command, environment, probe, resource ...
test_any_other_field if {
	changes := [
		{"image": "other"}, {"command": ["sleep"]}, {"args": ["run", "x"]}, {"args": []}, {"env": [{"name": "A"}]},
		{"envFrom": []}, {"lifecycle": {}}, {"livenessProbe": {}}, {"resources": {}}, {"tty": true},
		{"restartPolicy": "Never"}, {"restartPolicy": null}, {"securityContext": null}, {"securityContext": {"privileged": true}},
		{"fieldOfTheFuture": 1},
	]
	every change in changes {
		[field] := [key | some key in object.keys(change)]
		sidecar_genuine.violations == {violation(1, "bulkhead-firewall", concat(" ", ["differs in", field]))} with input as fixtures.tenant_pod([
			init,
			object.union(object.remove(firewall, [field]), change),
		])
	}
}

# An element that is null is no container, and no reason to let the pod pass.
test_null if {
	sidecar_genuine.violations == {violation(0, "bulkhead-init", "is missing")} with input as fixtures.tenant_pod([null, firewall])
}

init := fixtures.sidecar.init

firewall := fixtures.sidecar.firewall

token_mount := {
	"name": "kube-api-access-x2x4z",
	"readOnly": true,
	"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
}

violation(index, name, difference) := {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is not what Bulkhead injects there: it %s", [name, field, difference]),
	"remedy": "leave this container and its place to Bulkhead's webhook, and let no other webhook change them",
} if {
	field := sprintf("spec.initContainers[%d]", [index])
}
