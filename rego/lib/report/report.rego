# METADATA
# title: Report
# description: |
#   The one form of a violation: container (empty for the pod itself), field path,
#   message and remedy. All four are defined whatever the pod holds, so that no
#   violation vanishes with its message. A violation of the Pod Security Standards may
#   have `since` and `until`: the versions from and before which it counts, where these
#   are not the rule's own.
package lib.report

# METADATA
# description: |
#   A violation in a field of an entry of `data.lib.pod`: a container, or the pod
#   itself.
violation(entry, field, problem, remedy) := {
	"container": name,
	"field": path,
	"message": sprintf("container %q: %s %s", [name, path, problem]),
	"remedy": remedy,
} if {
	entry.index >= 0
	name := object.get(entry.spec, "name", "")
	path := sprintf("spec.%s[%d].%s", [entry.kind, entry.index, field])
} else := {
	"container": "",
	"field": path,
	"message": concat(" ", [path, problem]),
	"remedy": remedy,
} if {
	path := concat(".", [entry.kind, field])
}

# METADATA
# description: A violation in a field, by its whole path, of an object that is no pod.
in_field(path, problem, remedy) := {
	"container": "",
	"field": path,
	"message": concat(" ", [path, problem]),
	"remedy": remedy,
}

# METADATA
# description: |
#   The violation, which is none any more from that version of the Pod Security Standards
#   on, given that the condition holds.
until(violation, version, true) := object.union(violation, {"until": version})

until(violation, _, false) := violation

# METADATA
# description: |
#   The violation, which is one from that version of the Pod Security Standards on.
since(violation, version) := object.union(violation, {"since": version})

# METADATA
# description: Says which value it is, as JSON, so that a reader sees its type too.
is(value) := sprintf("is %s", [json.marshal(value)])
