package lib.report_test

import data.lib.report

test_container if {
	report.violation({"kind": "containers", "name": "a\"b", "path": "spec.containers[0]"}, "x", "is 1", "do") == {
		"container": "a\"b",
		"field": "spec.containers[0].x",
		"message": `container "a\"b": spec.containers[0].x is 1`,
		"remedy": "do",
	}
}

test_pod if {
	report.violation({"name": "", "path": "spec"}, "x", "is 1", "do") == {
		"container": "",
		"field": "spec.x",
		"message": "spec.x is 1",
		"remedy": "do",
	}
}

test_quote if {
	[report.quote(value) | some value in [null, "a\nb", 1, {"a": []}]] == ["null", `"a\nb"`, "1", `{"a":[]}`]
}
