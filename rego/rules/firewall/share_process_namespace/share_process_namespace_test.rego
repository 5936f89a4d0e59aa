package rules.firewall.share_process_namespace_test

import data.lib.fixtures
import data.rules.firewall.share_process_namespace

remedy := "set it to false or leave it out"

test_refused if {
	share_process_namespace.violations == {fixtures.in_pod("spec.shareProcessNamespace", "is true", remedy)} with input as fixtures.pod({"shareProcessNamespace": true})
}

test_passes if {
	every spec in [{}, {"shareProcessNamespace": false}] {
		share_process_namespace.violations == set() with input as fixtures.pod(spec)
	}
}
