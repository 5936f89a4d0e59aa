package rules.pod_security.volume_types_test

import data.lib.fixtures
import data.rules.pod_security.volume_types

test_refused if {
	every type in ["hostPath", "nfs", "gitRepo", "iscsi", "flexVolume", "configmap", "ofTheFuture"] {
		volume_types.violations == {violation(0, type)} with input as fixtures.pod({"volumes": [{"name": "v", type: {}}]})
	}
}

test_volume_without_source if {
	volume_types.violations == {violation(1, "none at all")} with input as fixtures.pod({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b"}]})
}

test_each_allowed_type if {
	every type in volume_types.allowed {
		volume_types.violations == set() with input as fixtures.pod({"volumes": [{"name": "v", type: {}}]})
	}
}

test_no_volumes if {
	every spec in [{}, {"volumes": []}] {
		volume_types.violations == set() with input as fixtures.pod(spec)
	}
}

violation(index, types) := fixtures.in_pod(
	sprintf("spec.volumes[%d]", [index]),
	sprintf("uses restricted volume types: %s", [types]),
	concat("", [
		"use one of configMap, csi, downwardAPI, emptyDir, ephemeral, image, ",
		"persistentVolumeClaim, projected, secret",
	]),
)
