package rules.firewall.ephemeral_container_test

import data.lib.fixtures
import data.rules.firewall.ephemeral_container

test_standing if {
	ephemeral_container.violations == set() with input as adding(fixtures.sidecar, [ended, started])
}

test_not_standing if {
	lists := [
		[],
		[ended],
		[started],
		[ended, object.union(started, {"started": false})],
		[ended, object.remove(started, ["started"])],
		[status("bulkhead-init", {"running": {}}), started],
		[status("bulkhead-init", {"waiting": {}}), started],
		[status("bulkhead-init", {"terminated": {"exitCode": 1}}), started],
		[status("bulkhead-init", {"terminated": {}}), started],
		[status("init", {"terminated": {"exitCode": 0}}), started],
	]
	every list in lists {
		ephemeral_container.violations == {refused} with input as adding(fixtures.sidecar, list)
	}
}

test_no_status if {
	ephemeral_container.violations == {refused} with input as object.remove(adding(fixtures.sidecar, []), ["oldObject"])
}

# Only what the kubelet wrote before counts, not what the update brings.
test_status_of_the_update if {
	ephemeral_container.violations == {refused} with input as object.union(
		adding(fixtures.sidecar, []),
		{"object": {"status": {"initContainerStatuses": [ended, started]}}},
	)
}

test_nothing_new if {
	ephemeral_container.violations == set() with input as object.union(
		adding(fixtures.sidecar, []),
		{"oldObject": {"spec": {"ephemeralContainers": [{"name": "debugger"}]}}},
	)
}

test_one_more if {
	ephemeral_container.violations == {refused} with input as object.union(
		adding(fixtures.sidecar, []),
		{"oldObject": {"spec": {"ephemeralContainers": [{"name": "another"}]}}},
	)
}

# L10: a pod from before the installation has no firewall to wait for.
test_pod_without_sidecar if {
	ephemeral_container.violations == set() with input as adding([{"name": "init"}], [])
}

# A pod that has these init containers and statuses gets an ephemeral container.
adding(init_containers, statuses) := object.union(
	fixtures.updated(init_containers, init_containers),
	{
		"object": {"spec": {"ephemeralContainers": [{"name": "debugger"}]}},
		"oldObject": {"spec": {}, "status": {"initContainerStatuses": statuses}},
	},
)

ended := status("bulkhead-init", {"terminated": {"exitCode": 0}})

started := object.union(status("bulkhead-firewall", {"running": {}}), {"started": true})

status(name, state) := {"name": name, "state": state}

refused := fixtures.in_container(
	"ephemeralContainers",
	"name",
	"is of a container that would run before the pod's firewall stands",
	"add it when bulkhead-init has ended with success and bulkhead-firewall runs",
)
