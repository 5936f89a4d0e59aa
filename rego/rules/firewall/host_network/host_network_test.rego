package rules.firewall.host_network_test

import data.lib.fixtures
import data.rules.firewall.host_network

remedy := "set it to false or leave it out, or run the pod in a namespace without a tenant"

test_refused if {
	host_network.violations == {fixtures.in_pod("spec.hostNetwork", "is true", remedy)} with input as fixtures.pod({"hostNetwork": true})
}

test_passes if {
	every spec in [{}, {"hostNetwork": false}] {
		host_network.violations == set() with input as fixtures.pod(spec)
	}
}
