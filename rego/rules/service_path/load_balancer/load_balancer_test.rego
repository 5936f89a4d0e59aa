package rules.service_path.load_balancer_test

import data.lib.fixtures
import data.lib.report
import data.rules.service_path.load_balancer

bad := ["192.168.0.10", "10.96.0.1", "10.244.1.1", "172.16.1.1", "172.16.2.1", "169.254.169.254", "localhost", "203.0.113.0/24"]

test_spec if {
	every text in bad {
		load_balancer.violations == {violation("spec.loadBalancerIP", text)} with input as fixtures.service({"loadBalancerIP": text})
	}
}

test_status if {
	load_balancer.violations == {violation(sprintf("status.loadBalancer.ingress[%d].ip", [index]), text) | some index, text in bad} with input as status([{"ip": text} | some text in bad])
}

# Where the cluster's ranges are not known nothing is outside.
test_ranges_unknown if {
	load_balancer.violations == {violation("spec.loadBalancerIP", "203.0.113.7")} with input as object.remove(fixtures.service({"loadBalancerIP": "203.0.113.7"}), ["cluster"])
}

test_passes if {
	every spec in [{}, {"loadBalancerIP": ""}, {"loadBalancerIP": "203.0.113.7"}, {"loadBalancerIP": "2001:db8::1"}] {
		load_balancer.violations == set() with input as fixtures.service(spec)
	}
	load_balancer.violations == set() with input as status([{"ip": "203.0.113.7"}, {}])
}

status(ingress) := fixtures.tenant_object("service", {"spec": {}, "status": {"loadBalancer": {"ingress": ingress}}})

violation(field, text) := report.in_field(
	field,
	sprintf("is %q, an address inside the cluster or none", [text]),
	"leave the choice to the load balancer, or name an address outside the cluster",
)
