# METADATA
# title: Pod
# description: |
#   The pod under review as the rules see it: every container of all three kinds
#   with its field path, less the genuine sidecar, and the security contexts.
#
#   A field that is absent or null is unset, as in the API server's own decoding.
#   A list or object of another type is an error of evaluation, which denies: it
#   must not read as empty.
package lib.pod

import data.lib.sidecar

# METADATA
# description: The pod's spec. Not an object, or missing, is an error.
spec := object.union({}, object.get(input.object, "spec", null))

# METADATA
# description: The pod's init containers, the genuine sidecar's among them.
init_containers := list_at(spec, "initContainers")

# METADATA
# description: The init containers before the update.
old_init_containers := list_at(object_at(input.oldObject, "spec"), "initContainers")

# METADATA
# description: The pod's annotations.
annotations := object_at(object_at(input.object, "metadata"), "annotations")

# METADATA
# description: The entry for fields of the pod itself.
itself := {"name": "", "path": "spec", "security": object_at(spec, "securityContext")}

# METADATA
# description: The entry for the pod's annotations and other metadata.
metadata := {"name": "", "path": "metadata"}

# METADATA
# description: All containers that are not the genuine sidecar.
containers := array.flatten([
	_containers("initContainers"),
	_containers("containers"),
	_containers("ephemeralContainers"),
])

# METADATA
# description: All places that hold a security context, the pod's own and each container's.
contexts := array.concat([itself], containers)

# METADATA
# description: The pod says that it is for Windows, whose containers have no Linux security fields.
windows if spec.os.name == "windows"

# METADATA
# description: |
#   The pod has a user namespace of its own (KEP-127). Only what the Pod Security
#   Standards relax for it may ask; capabilities never do, as NET_ADMIN there still
#   owns the pod's network namespace.
user_namespace if spec.hostUsers == false

# METADATA
# description: The element of a list; null where it has none.
element(list, index) := value if value := list[index]

else := null

# METADATA
# description: The list in a field; empty when unset.
list_at(parent, key) := [] if object.get(parent, key, null) == null

else := array.concat([], object.get(parent, key, null))

# METADATA
# description: The object in a field; empty when unset.
object_at(parent, key) := {} if object.get(parent, key, null) == null

else := object.union({}, object.get(parent, key, null))

_containers(kind) := [entry |
	some index, container in list_at(spec, kind)
	not sidecar.genuine(kind, index, container)
	entry := {
		"kind": kind,
		"index": index,
		"name": object.get(container, "name", ""),
		"path": sprintf("spec.%s[%d]", [kind, index]),
		"security": object_at(container, "securityContext"),
		"spec": container,
	}
]
