package lib.sidecar_test

import data.lib.fixtures
import data.lib.sidecar

test_genuine_in_its_place if {
	sidecar.genuine(0) with input as fixtures.tenant_pod(fixtures.sidecar)
	sidecar.genuine(1) with input as fixtures.tenant_pod(fixtures.sidecar)
	not sidecar.genuine(2) with input as fixtures.tenant_pod(array.concat(fixtures.sidecar, [fixtures.init]))
}

test_exchanged if {
	not sidecar.genuine(0) with input as fixtures.tenant_pod([fixtures.firewall, fixtures.init])
	not sidecar.genuine(1) with input as fixtures.tenant_pod([fixtures.firewall, fixtures.init])
}

test_nothing_found if {
	not sidecar.genuine(0) with input as fixtures.tenant_pod([])
}

test_without_tenant if {
	not sidecar.genuine(0) with input as fixtures.pod({"initContainers": fixtures.sidecar})
}

# L15: what the API server's ServiceAccount plugin adds.
test_token_mount if {
	sidecar.genuine(0) with input as mounting([token_mount])
}

test_other_mounts if {
	lists := [
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
		[{"name": "tools", "mountPath": "/usr/sbin"}, token_mount],
	]
	every list in lists {
		not sidecar.genuine(0) with input as mounting(list)
	}
}

# A container that has a mount of its own keeps it, in its place.
test_token_mount_beside_the_own if {
	sidecar.genuine(1) with input as firewall_mounting([fixtures.mount])
	sidecar.genuine(1) with input as firewall_mounting([fixtures.mount, token_mount])
	lists := [
		[],
		[token_mount],
		[token_mount, fixtures.mount],
		[fixtures.mount, fixtures.mount],
		[fixtures.mount, token_mount, token_mount],
		[object.union(fixtures.mount, {"mountPath": "/run"}), token_mount],
	]
	every list in lists {
		not sidecar.genuine(1) with input as firewall_mounting(list)
	}
}

test_volumes if {
	sidecar.genuine_volumes with input as fixtures.reporting_pod([fixtures.volume])
	sidecar.genuine_volumes with input as fixtures.tenant_pod([])
	every found in [[], [fixtures.volume, fixtures.volume], [object.union(fixtures.volume, {"emptyDir": {}})]] {
		not sidecar.genuine_volumes with input as fixtures.reporting_pod(found)
	}
}

firewall_mounting(list) := json.patch(fixtures.reporting_pod([fixtures.volume]), [
	{"op": "add", "path": "/sidecar/found/1/volumeMounts", "value": list},
	{"op": "add", "path": "/object/spec/volumes", "value": [{"name": "kube-api-access-x2x4z", "projected": {}}]},
])

test_token_mount_and_another_image if {
	not sidecar.genuine(0) with input as json.patch(
		mounting([token_mount]),
		[{"op": "replace", "path": "/sidecar/found/0/image", "value": "other"}],
	)
}

# L17: a mount of a volume that only these containers wait for.
test_token_mount_of_another_volume if {
	lists := [
		[],
		[{"name": "kube-api-access-x2x4z", "image": {}}],
		[{"name": "kube-api-access-x2x4z", "emptyDir": {}}],
		[{"name": "kube-api-access-other", "projected": {}}],
	]
	every list in lists {
		not sidecar.genuine(0) with input as json.patch(mounting([token_mount]), [{"op": "add", "path": "/object/spec/volumes", "value": list}])
	}
}

mounting(list) := object.union(
	fixtures.tenant_pod([object.union(fixtures.init, {"volumeMounts": list})]),
	{"object": {"spec": {"volumes": [{"name": "kube-api-access-x2x4z", "projected": {}}]}}},
)

token_mount := {
	"name": "kube-api-access-x2x4z",
	"readOnly": true,
	"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
}
