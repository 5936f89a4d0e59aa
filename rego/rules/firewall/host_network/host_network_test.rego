package rules.firewall.host_network_test

import data.lib.fixtures
import data.rules.firewall.host_network

remedy := "set it to false or leave it out, or run the pod in a namespace without a tenant"

test_refused if {
	every value in [true, "false", 1, {}] {
		expected := {fixtures.in_pod("spec.hostNetwork", sprintf("is %s", [json.marshal(value)]), remedy)}
		host_network.violations == expected with input as fixtures.pod({"hostNetwork": value})
	}
}

test_passes if {
	every spec in [{}, {"hostNetwork": null}, {"hostNetwork": false}] {
		host_network.violations == set() with input as fixtures.pod(spec)
	}
}
