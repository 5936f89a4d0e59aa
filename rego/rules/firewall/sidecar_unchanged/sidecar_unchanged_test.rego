package rules.firewall.sidecar_unchanged_test

import data.lib.fixtures
import data.rules.firewall.sidecar_unchanged

test_unchanged if {
	sidecar_unchanged.violations == set() with input as fixtures.updated([fixtures.init, fixtures.firewall], [fixtures.init, fixtures.firewall])
}

# The configuration is another one by now; the pod stays as it was created.
test_of_an_older_configuration if {
	old := object.union(fixtures.init, {"image": "older"})
	sidecar_unchanged.violations == set() with input as fixtures.updated([old, fixtures.firewall], [old, fixtures.firewall])
	sidecar_unchanged.violations == {violation(0, "bulkhead-init")} with input as fixtures.updated([old, fixtures.firewall], [fixtures.init, fixtures.firewall])
}

test_changed if {
	every change in [{"image": "busybox"}, {"resources": {"limits": {"memory": "1Mi"}}}, {"fieldOfTheFuture": 1}] {
		changed := object.union(fixtures.firewall, change)
		sidecar_unchanged.violations == {violation(1, "bulkhead-firewall")} with input as fixtures.updated([fixtures.init, fixtures.firewall], [fixtures.init, changed])
	}
}

test_moved_or_removed if {
	every after in [[], [fixtures.firewall, fixtures.init], [{"name": "first"}, fixtures.init, fixtures.firewall]] {
		sidecar_unchanged.violations == {
			violation(0, "bulkhead-init"),
			violation(1, "bulkhead-firewall"),
		} with input as fixtures.updated([fixtures.init, fixtures.firewall], after)
	}
}

# L10: a pod from before the installation has nothing to keep.
test_pod_without_sidecar if {
	every before in [[], [{"name": "init"}]] {
		sidecar_unchanged.violations == set() with input as fixtures.updated(before, before)
	}
}

test_volume if {
	pod := fixtures.updated(fixtures.sidecar, fixtures.sidecar)
	kept := {"found": [fixtures.volume], "before": [fixtures.volume]}
	sidecar_unchanged.violations == set() with input as object.union(pod, {"sidecar": {"volumes": kept}})
	every change in [{"found": []}, {"before": []}, {"found": [{"name": "bulkhead-token", "emptyDir": {}}]}] {
		sidecar_unchanged.violations == {{
			"container": "",
			"field": "spec.volumes",
			"message": `spec.volumes: "bulkhead-token" is changed by this update`,
			"remedy": "leave Bulkhead's volume as it is, or create the pod anew",
		}} with input as object.union(pod, {"sidecar": {"volumes": object.union(kept, change)}})
	}
}

violation(index, name) := {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is changed by this update", [name, field]),
	"remedy": "leave Bulkhead's containers as they are, or create the pod anew",
} if {
	field := sprintf("spec.initContainers[%d]", [index])
}
