package rules.service_path.external_name_test

import data.lib.fixtures
import data.lib.report
import data.rules.service_path.external_name

test_refused if {
	names := [
		"database.bob.svc.cluster.local", "DATABASE.BOB.SVC.CLUSTER.LOCAL", "database.bob.svc.cluster.local.",
		"database.bob.svc", "database.bob.svc.k8s.example.com", "0.database.bob.svc.k8s.example.com",
		"10-244-1-1.bob.pod.cluster.local", "10-244-1-1.database.bob.svc.cluster.local",
		"alice.bob.svc", "x.alice.pod.cluster.local", "y.x.alice.svc.cluster.local",
		"kubernetes.default", "localhost", "kubernetes", "bob.localhost", "node.local", "cluster.local",
		"10.96.0.1", "203.0.113.7", "::1", "1.0.96.10.in-addr.arpa", "",
	]
	every name in names {
		external_name.violations == {violation(name)} with input as fixtures.service({"type": "ExternalName", "externalName": name})
	}
}

test_passes if {
	names := [
		"database.example.com", "svc.example.com", "pod.example.com.", "example.com",
		"x.alice.svc.cluster.local", "x.alice-batch.svc", "x.alice.svc.k8s.example.com",
	]
	every name in names {
		external_name.violations == set() with input as fixtures.service({"type": "ExternalName", "externalName": name})
	}
}

test_name_is_missing if {
	external_name.violations == {violation("")} with input as fixtures.service({"type": "ExternalName"})
}

# Of other types nobody reads the name.
test_other_types if {
	every type in ["ClusterIP", "LoadBalancer"] {
		external_name.violations == set() with input as fixtures.service({"type": type, "externalName": "x.bob.svc"})
	}
	external_name.violations == set() with input as fixtures.service({})
}

test_without_tenant if {
	external_name.violations == {violation("x.alice.svc")} with input as object.remove(
		fixtures.service({"type": "ExternalName", "externalName": "x.alice.svc"}),
		["tenant"],
	)
}

violation(name) := report.in_field(
	"spec.externalName",
	sprintf("is %q, which may be a name or an address inside the cluster", [name]),
	"name a host outside the cluster, or a Service of the tenant's own namespaces",
)
