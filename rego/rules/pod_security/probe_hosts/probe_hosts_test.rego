package rules.pod_security.probe_hosts_test

import data.lib.fixtures
import data.rules.pod_security.probe_hosts

problem := `is "10.0.0.1": a probe or lifecycle host is forbidden`

remedy := "leave it out: the kubelet then asks the pod itself"

test_every_probe_of_every_kind if {
	every probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
		every action in ["httpGet", "tcpSocket"] {
			field := sprintf("%s.%s.host", [probe, action])
			expected := fixtures.in_every_kind(field, problem, remedy)
			probe_hosts.violations == expected with input as fixtures.every_kind({probe: {action: {"host": "10.0.0.1", "port": 80}}})
		}
	}
}

test_every_hook_of_every_kind if {
	every hook in ["postStart", "preStop"] {
		every action in ["httpGet", "tcpSocket"] {
			field := sprintf("lifecycle.%s.%s.host", [hook, action])
			expected := fixtures.in_every_kind(field, problem, remedy)
			probe_hosts.violations == expected with input as fixtures.every_kind({"lifecycle": {hook: {action: {"host": "10.0.0.1"}}}})
		}
	}
}

test_both_actions if {
	expected := fixtures.in_every_kind("livenessProbe.httpGet.host", problem, remedy) | fixtures.in_every_kind("livenessProbe.tcpSocket.host", problem, remedy)
	probe_hosts.violations == expected with input as fixtures.every_kind({"livenessProbe": {
		"httpGet": {"host": "10.0.0.1"},
		"tcpSocket": {"host": "10.0.0.1"},
	}})
}

# The pod's own address in words is a host too.
test_localhost if {
	expected := fixtures.in_every_kind("startupProbe.httpGet.host", `is "localhost": a probe or lifecycle host is forbidden`, remedy)
	probe_hosts.violations == expected with input as fixtures.every_kind({"startupProbe": {"httpGet": {"host": "localhost"}}})
}

test_passes if {
	cases := [
		{},
		{"livenessProbe": {}, "lifecycle": {}},
		{"livenessProbe": {"httpGet": {"host": "", "port": 80}}},
		{"readinessProbe": {"tcpSocket": {"port": 80}}},
		{"startupProbe": {"exec": {"command": ["true"]}}},
		{"livenessProbe": {"grpc": {"port": 80}}},
		{"lifecycle": {"preStop": {"httpGet": {"port": 80}}}},
	]
	every case in cases {
		probe_hosts.violations == set() with input as fixtures.every_kind(case)
	}
}
