package rules.firewall.sidecar_exec_test

import data.rules.firewall.sidecar_exec

test_sidecar if {
	every name in ["bulkhead-init", "bulkhead-firewall"] {
		sidecar_exec.violations == {violation(name)} with input as connect({"container": name})
	}
}

test_wrong_type if {
	every name in [1, true, ["bulkhead-firewall"]] {
		sidecar_exec.violations == {violation(name)} with input as connect({"container": name})
	}
}

test_other_containers if {
	every options in [{}, {"container": ""}, {"container": null}, {"container": "app", "command": ["bulkhead-firewall"]}] {
		sidecar_exec.violations == set() with input as connect(options)
	}
}

connect(options) := {
	"request": {"operation": "CONNECT", "resource": "pods", "subresource": "exec"},
	"object": options,
	"oldObject": null,
	"sidecar": null,
}

violation(name) := {
	"container": name,
	"field": "container",
	"message": sprintf("container is %s, which belongs to Bulkhead's firewall", [json.marshal(name)]),
	"remedy": "use another container of the pod",
}
