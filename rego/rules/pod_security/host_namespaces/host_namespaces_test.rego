package rules.pod_security.host_namespaces_test

import data.lib.fixtures
import data.rules.pod_security.host_namespaces

test_each_namespace if {
	every field in ["hostNetwork", "hostPID", "hostIPC"] {
		host_namespaces.violations == {violation(field, "true")} with input as fixtures.pod({field: true})
	}
}

test_all_namespaces if {
	host_namespaces.violations == {
		violation("hostNetwork", "true"),
		violation("hostPID", "true"),
		violation("hostIPC", "true"),
	} with input as fixtures.pod({"hostNetwork": true, "hostPID": true, "hostIPC": true})
}

test_passes if {
	host_namespaces.violations == set() with input as fixtures.pod({"hostNetwork": false, "hostPID": false, "hostIPC": false})
	host_namespaces.violations == set() with input as fixtures.pod({})
}

violation(field, value) := fixtures.in_pod(
	concat(".", ["spec", field]),
	sprintf("is %s: host namespaces must not be shared", [value]),
	"set it to false or leave it out",
)
