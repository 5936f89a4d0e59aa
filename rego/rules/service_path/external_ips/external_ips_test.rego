package rules.service_path.external_ips_test

import data.lib.fixtures
import data.lib.report
import data.rules.service_path.external_ips

# Whosever they are: even the tenant's own.
test_refused if {
	external_ips.violations == {violation(0, "203.0.113.7"), violation(1, "172.16.1.1")} with input as fixtures.service({"externalIPs": ["203.0.113.7", "172.16.1.1"]})
}

test_passes if {
	every spec in [{}, {"externalIPs": []}, {"type": "LoadBalancer", "loadBalancerIP": "203.0.113.7"}] {
		external_ips.violations == set() with input as fixtures.service(spec)
	}
}

violation(index, address) := report.in_field(
	sprintf("spec.externalIPs[%d]", [index]),
	sprintf("is %q, and would take what anybody in the cluster sends there", [address]),
	"remove it, and use a Service of type LoadBalancer or an Ingress",
)
