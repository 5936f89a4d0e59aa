package rules.pod_security.sysctls_test

import data.lib.fixtures
import data.rules.pod_security.sysctls

test_refused if {
	names := [
		"kernel.msgmax", "net.ipv4.conf.all.route_localnet", "net.ipv6.conf.all.accept_ra", "net.ipv4.*",
		"net/ipv4/tcp_syncookies", "NET.IPV4.TCP_SYNCOOKIES", " kernel.shm_rmid_forced", "",
	]
	every name in names {
		sysctls.violations == {violation(0, name)} with input as fixtures.pod({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}})
	}
}

test_each_is_named if {
	sysctls.violations == {violation(1, "kernel.sem"), violation(2, "")} with input as fixtures.pod({"securityContext": {"sysctls": [
		{"name": "net.ipv4.tcp_syncookies", "value": "1"},
		{"name": "kernel.sem", "value": "1"},
		{},
	]}})
}

test_each_allowed_sysctl if {
	every name in sysctls.allowed {
		sysctls.violations == set() with input as fixtures.pod({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}})
	}
	every name, version in sysctls.allowed_since {
		expected := fixtures.until(version, {violation(0, name)})
		sysctls.violations == expected with input as fixtures.pod({"securityContext": {"sysctls": [{"name": name, "value": "1"}]}})
	}
}

test_passes if {
	every context in [{}, {"sysctls": []}] {
		sysctls.violations == set() with input as fixtures.pod({"securityContext": context})
	}
}

violation(index, name) := fixtures.in_pod(
	sprintf("spec.securityContext.sysctls[%d].name", [index]),
	sprintf("is %s, a forbidden sysctl", [json.marshal(name)]),
	"remove it",
)
