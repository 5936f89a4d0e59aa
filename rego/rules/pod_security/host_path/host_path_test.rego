package rules.pod_security.host_path_test

import data.lib.fixtures
import data.rules.pod_security.host_path

test_any_path if {
	every source in [{}, {"path": "/proc"}, {"path": "/"}, {"path": "/var/../proc", "type": ""}] {
		host_path.violations == {violation(0, "v")} with input as fixtures.pod({"volumes": [{"name": "v", "hostPath": source}]})
	}
}

test_beside_another_source if {
	host_path.violations == {violation(1, "b")} with input as fixtures.pod({"volumes": [
		{"name": "a", "emptyDir": {}},
		{"name": "b", "emptyDir": {}, "hostPath": {"path": "/"}},
	]})
}

test_volume_without_name if {
	host_path.violations == {violation(0, "")} with input as fixtures.pod({"volumes": [{"hostPath": {}}]})
}

test_passes if {
	every volumes in [[], [{"name": "v"}], [{"name": "v", "emptyDir": {}}]] {
		host_path.violations == set() with input as fixtures.pod({"volumes": volumes})
	}
}

violation(index, name) := fixtures.in_pod(
	sprintf("spec.volumes[%d].hostPath", [index]),
	sprintf("is set by volume %q: hostPath volumes are forbidden", [name]),
	"use another type of volume",
)
