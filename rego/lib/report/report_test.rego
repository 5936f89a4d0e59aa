package lib.report_test

import data.lib.report

test_container if {
	entry := {"kind": "containers", "index": 0, "spec": {"name": "a\"b"}}
	report.violation(entry, "x", "is 1", "do") == {
		"container": "a\"b",
		"field": "spec.containers[0].x",
		"message": `container "a\"b": spec.containers[0].x is 1`,
		"remedy": "do",
	}
}

test_container_without_name if {
	entry := {"kind": "initContainers", "index": 2, "spec": {}}
	report.violation(entry, "x", "is 1", "do") == {
		"container": "",
		"field": "spec.initContainers[2].x",
		"message": `container "": spec.initContainers[2].x is 1`,
		"remedy": "do",
	}
}

test_pod if {
	every kind in ["spec", "metadata"] {
		report.violation({"kind": kind, "spec": {}}, "x", "is 1", "do") == {
			"container": "",
			"field": sprintf("%s.x", [kind]),
			"message": sprintf("%s.x is 1", [kind]),
			"remedy": "do",
		}
	}
}

test_in_field if {
	report.in_field("spec.x", "is 1", "do") == {
		"container": "",
		"field": "spec.x",
		"message": "spec.x is 1",
		"remedy": "do",
	}
}

test_versions if {
	violation := {"field": "x"}
	report.until(violation, "v1.35", true) == {"field": "x", "until": "v1.35"}
	report.until(violation, "v1.35", false) == violation
	report.since(violation, "v1.35") == {"field": "x", "since": "v1.35"}
}

test_is if {
	values := [true, "a\nb", 1, {"a": []}]
	[report.is(value) | some value in values] == ["is true", `is "a\nb"`, "is 1", `is {"a":[]}`]
}
