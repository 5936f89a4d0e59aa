package rules.firewall.windows_test

import data.lib.fixtures
import data.rules.firewall.windows

test_refused if {
	every name in ["windows", "Windows", "", "plan9"] {
		windows.violations == {violation(name)} with input as fixtures.pod({"os": {"name": name}})
	}
	windows.violations == {violation("")} with input as fixtures.pod({"os": {}})
}

test_passes if {
	every spec in [{}, {"os": {"name": "linux"}}] {
		windows.violations == set() with input as fixtures.pod(spec)
	}
}

violation(name) := fixtures.in_pod(
	"spec.os.name",
	sprintf("is %s, which cannot carry Bulkhead's firewall", [json.marshal(name)]),
	"use linux, or run the pod in a namespace without a tenant",
)
