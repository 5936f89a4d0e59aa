package lib.pod_test

import data.lib.fixtures
import data.lib.pod

test_containers_of_every_kind if {
	entries := [
		{"kind": "initContainers", "index": 0, "name": "i", "path": "spec.initContainers[0]", "security": {}, "spec": {"name": "i"}},
		{"kind": "containers", "index": 0, "name": "a", "path": "spec.containers[0]", "security": {}, "spec": {"name": "a"}},
		{"kind": "containers", "index": 1, "name": "", "path": "spec.containers[1]", "security": {"x": 1}, "spec": {"securityContext": {"x": 1}}},
		{"kind": "ephemeralContainers", "index": 0, "name": "e", "path": "spec.ephemeralContainers[0]", "security": {}, "spec": {"name": "e"}},
	]
	pod.containers == entries with input as fixtures.pod(spec)
	pod.contexts == array.concat([pod.itself], entries) with input as fixtures.pod(spec)
}

test_no_containers if {
	every empty in [{}, {"containers": null, "initContainers": [], "ephemeralContainers": null}] {
		pod.containers == [] with input as fixtures.pod(empty)
		pod.contexts == [pod.itself] with input as fixtures.pod(empty)
	}
}

test_genuine_sidecar_is_left_out if {
	names := ["init", "app"]
	[entry.name | some entry in pod.containers] == names with input as fixtures.tenant_pod([
		fixtures.sidecar.init,
		fixtures.sidecar.firewall,
		{"name": "init"},
	])
}

test_element if {
	pod.element(["a", false], 0) == "a"
	pod.element(["a", false], 1) == false
	pod.element(["a", false], 2) == null
}

test_system if {
	pod.windows with input as fixtures.pod({"os": {"name": "windows"}})
	not pod.windows with input as fixtures.pod({"os": "windows"})
	not pod.windows with input as fixtures.pod({})
}

test_user_namespace if {
	pod.user_namespace with input as fixtures.pod({"hostUsers": false})
	every value in [true, null, 0, "false"] {
		not pod.user_namespace with input as fixtures.pod({"hostUsers": value})
	}
}

spec := {
	"ephemeralContainers": [{"name": "e"}],
	"containers": [{"name": "a"}, {"securityContext": {"x": 1}}],
	"initContainers": [{"name": "i"}],
}
