package rules.firewall.share_process_namespace_test

import data.lib.fixtures
import data.rules.firewall.share_process_namespace

remedy := "set it to false or leave it out"

test_refused if {
	every value in [true, "false", 1, {}] {
		expected := {fixtures.in_pod("spec.shareProcessNamespace", sprintf("is %s", [json.marshal(value)]), remedy)}
		share_process_namespace.violations == expected with input as fixtures.pod({"shareProcessNamespace": value})
	}
}

test_passes if {
	every spec in [{}, {"shareProcessNamespace": null}, {"shareProcessNamespace": false}] {
		share_process_namespace.violations == set() with input as fixtures.pod(spec)
	}
}
