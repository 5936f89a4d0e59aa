package lib.sidecar_test

import data.lib.fixtures
import data.lib.sidecar

test_genuine_in_its_place if {
	sidecar.genuine("initContainers", 0, fixtures.sidecar.init) with input.sidecar as fixtures.sidecar
	sidecar.genuine("initContainers", 1, fixtures.sidecar.firewall) with input.sidecar as fixtures.sidecar
}

test_not_elsewhere if {
	places := [["initContainers", 1], ["initContainers", 2], ["initContainers", -1], ["containers", 0], ["ephemeralContainers", 0]]
	every place in places {
		[kind, index] := place
		not sidecar.genuine(kind, index, fixtures.sidecar.init) with input.sidecar as fixtures.sidecar
	}
}

test_not_without_tenant if {
	not sidecar.genuine("initContainers", 0, fixtures.sidecar.init) with input.sidecar as null
	not sidecar.genuine("initContainers", 0, null) with input.sidecar as null
}

# A mount that the configuration itself asks for is compared like any other field.
test_expected_mount if {
	wanted := {"name": "x", "volumeMounts": [{"name": "feed", "mountPath": "/feed"}]}
	sidecar.same(wanted, wanted)
	not sidecar.same({"name": "x", "volumeMounts": [{"name": "kube-api-access-x"}]}, wanted)
}
