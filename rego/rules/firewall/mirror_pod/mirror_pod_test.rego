package rules.firewall.mirror_pod_test

import data.lib.fixtures
import data.rules.firewall.mirror_pod

test_refused if {
	every value in ["", "hash"] {
		mirror_pod.violations == {fixtures.in_pod(
			`metadata.annotations["kubernetes.io/config.mirror"]`,
			"is set, as if this were a static pod's mirror, which cannot carry Bulkhead's firewall",
			"remove the annotation, or keep static pods out of tenants' namespaces",
		)} with input as fixtures.annotated({"kubernetes.io/config.mirror": value}, {})
	}
}

test_passes if {
	every annotations in [{}, {"kubernetes.io/config.source": "api"}] {
		mirror_pod.violations == set() with input as fixtures.annotated(annotations, {})
	}
}
