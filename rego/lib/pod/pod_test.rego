package lib.pod_test

import data.lib.fixtures
import data.lib.pod

test_containers_of_every_kind if {
	expected := [["initContainers", 0, "i"], ["containers", 0, "a"], ["containers", 1, "b"], ["ephemeralContainers", 0, "e"]]
	[[entry.kind, entry.index, entry.spec.name] | some entry in pod.containers] == expected with input as fixtures.pod(spec)
}

test_contexts if {
	kinds := ["spec", "initContainers", "containers", "containers", "ephemeralContainers"]
	[entry.kind | some entry in pod.contexts] == kinds with input as fixtures.pod(spec)
	pod.contexts[0].spec == spec with input as fixtures.pod(spec)
}

test_no_containers if {
	every empty in [{}, {"initContainers": [], "containers": [], "ephemeralContainers": []}] {
		pod.containers == [] with input as fixtures.pod(empty)
		count(pod.contexts) == 1 with input as fixtures.pod(empty)
	}
}

test_genuine_sidecar_is_left_out if {
	names := ["init", "app"]
	[entry.spec.name | some entry in pod.containers] == names with input as fixtures.tenant_pod([
		fixtures.init,
		fixtures.firewall,
		{"name": "init"},
	])
}

# A container of another kind at the same index is no sidecar, whatever it equals.
test_other_kinds_are_kept if {
	kinds := ["containers", "ephemeralContainers"]
	[entry.kind | some entry in pod.containers] == kinds with input as object.union(
		fixtures.tenant_pod([fixtures.init]),
		{"object": {"spec": {"containers": [fixtures.init], "ephemeralContainers": [fixtures.init]}}},
	)
}

test_system if {
	pod.windows with input as fixtures.pod({"os": {"name": "windows"}})
	pod.windows == false with input as fixtures.pod({"os": {"name": "linux"}})
	pod.windows == false with input as fixtures.pod({})
}

test_user_namespace if {
	pod.user_namespace with input as fixtures.pod({"hostUsers": false})
	pod.user_namespace == false with input as fixtures.pod({"hostUsers": true})
	pod.user_namespace == false with input as fixtures.pod({})
}

spec := {
	"ephemeralContainers": [{"name": "e"}],
	"containers": [{"name": "a"}, {"name": "b"}],
	"initContainers": [{"name": "i"}],
}
