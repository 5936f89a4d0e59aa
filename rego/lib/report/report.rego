# METADATA
# title: Report
# description: |
#   The one form of a violation: container (empty for the pod itself), field path,
#   message and remedy. All four are defined whatever the pod holds, so that no
#   violation vanishes with its message.
package lib.report

# METADATA
# description: |
#   A violation in a field of an entry of `data.lib.pod`: a container, or the pod
#   itself.
violation(entry, field, problem, remedy) := {
	"container": entry.name,
	"field": path,
	"message": concat("", [_label(entry), path, " ", problem]),
	"remedy": remedy,
} if {
	path := concat(".", [entry.path, field])
}

# METADATA
# description: Any value as JSON, so that a reader sees what was written and of which type.
quote(value) := json.marshal(value)

_label(entry) := sprintf("container %q: ", [entry.name]) if entry.kind

else := ""
