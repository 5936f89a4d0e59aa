package rules.pod_security.host_ports_test

import data.lib.fixtures
import data.rules.pod_security.host_ports

remedy := "leave it out, and use a Service to reach the pod from outside"

test_every_kind if {
	expected := fixtures.in_every_kind("ports[0].hostPort", "is 80", remedy)
	host_ports.violations == expected with input as fixtures.every_kind({"ports": [{"containerPort": 80, "hostPort": 80}]})
}

test_second_port if {
	expected := fixtures.in_every_kind("ports[1].hostPort", "is -1", remedy)
	host_ports.violations == expected with input as fixtures.every_kind({"ports": [{"hostPort": 0}, {"hostPort": -1}]})
}

test_passes if {
	cases := [
		{},
		{"ports": []},
		{"ports": [{}]},
		{"ports": [{"containerPort": 80, "hostPort": 0}]},
	]
	every case in cases {
		host_ports.violations == set() with input as fixtures.every_kind(case)
	}
}
