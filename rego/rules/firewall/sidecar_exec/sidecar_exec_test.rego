package rules.firewall.sidecar_exec_test

import data.rules.firewall.sidecar_exec

test_sidecar if {
	every name in ["bulkhead-init", "bulkhead-firewall"] {
		sidecar_exec.violations == {violation(name)} with input as connect({"container": name})
	}
}

test_other_containers if {
	every options in [{}, {"container": ""}, {"container": "app", "command": ["bulkhead-firewall"]}] {
		sidecar_exec.violations == set() with input as connect(options)
	}
}

connect(options) := {
	"request": {"operation": "CONNECT", "resource": "pods", "subresource": "exec"},
	"options": options,
}

violation(name) := {
	"container": name,
	"field": "container",
	"message": sprintf("container %q belongs to Bulkhead's firewall", [name]),
	"remedy": "use another container of the pod",
}
