package rules.firewall.sidecar_unchanged_test

import data.lib.fixtures
import data.rules.firewall.sidecar_unchanged

test_unchanged if {
	sidecar_unchanged.violations == set() with input as fixtures.updated([init, firewall], [init, firewall])
}

# The configuration is another one by now; the pod stays as it was created.
test_of_an_older_configuration if {
	old := object.union(init, {"image": "older"})
	sidecar_unchanged.violations == set() with input as fixtures.updated([old, firewall], [old, firewall])
	sidecar_unchanged.violations == {violation(0, "bulkhead-init")} with input as fixtures.updated([old, firewall], [init, firewall])
}

test_changed if {
	every change in [{"image": "busybox"}, {"resources": {"limits": {"memory": "1Mi"}}}, {"fieldOfTheFuture": 1}] {
		changed := object.union(firewall, change)
		sidecar_unchanged.violations == {violation(1, "bulkhead-firewall")} with input as fixtures.updated([init, firewall], [init, changed])
	}
}

test_moved_or_removed if {
	every after in [[], null, [firewall, init], [{"name": "first"}, init, firewall]] {
		sidecar_unchanged.violations == {
			violation(0, "bulkhead-init"),
			violation(1, "bulkhead-firewall"),
		} with input as fixtures.updated([init, firewall], after)
	}
}

# L10: a pod from before the installation has nothing to keep.
test_pod_without_sidecar if {
	every before in [null, [], [{"name": "init"}]] {
		sidecar_unchanged.violations == set() with input as fixtures.updated(before, before)
	}
}

init := fixtures.sidecar.init

firewall := fixtures.sidecar.firewall

violation(index, name) := {
	"container": name,
	"field": field,
	"message": sprintf("container %q: %s is changed by this update", [name, field]),
	"remedy": "leave Bulkhead's containers as they are, or create the pod anew",
} if {
	field := sprintf("spec.initContainers[%d]", [index])
}
