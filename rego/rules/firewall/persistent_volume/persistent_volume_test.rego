package rules.firewall.persistent_volume_test

import data.lib.fixtures
import data.lib.report
import data.rules.firewall.persistent_volume

test_refused if {
	every type in ["hostPath", "local"] {
		every path in ["/", "/proc", "/var/../proc", "/mnt/disks/1"] {
			persistent_volume.violations == {violation(type, path)} with input as volume({type: {"path": path}})
		}
		persistent_volume.violations == {violation(type, "")} with input as volume({type: {}})
	}
}

test_passes if {
	persistent_volume.violations == set() with input as volume({})
}

volume(spec) := fixtures.tenant_object("persistentVolume", {"spec": spec})

violation(type, path) := report.in_field(
	concat(".", ["spec", type]),
	sprintf("is %q, a folder of the node", [path]),
	"use a volume of another type, or bind it to a claim in a namespace without a tenant",
)
