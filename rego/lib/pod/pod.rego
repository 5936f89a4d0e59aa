# METADATA
# title: Pod
# description: |
#   The pod under review as the rules see it, in entries of one form: `kind` is the
#   list that holds the container, `index` its place there, `spec` the container. The
#   entry of the pod itself has the pod's spec, and no index.
#
#   The engine has held the document against schema/input.json: a field is absent or
#   of the type that the schema says, never null.
package lib.pod

import data.lib.sidecar

# METADATA
# description: The entry for fields of the pod itself.
itself := {"kind": "spec", "spec": input.object.spec}

# METADATA
# description: The entry for the pod's annotations.
metadata := {"kind": "metadata"}

# METADATA
# description: All containers of all three kinds that are not the genuine sidecar.
containers := [entry |
	some kind in ["initContainers", "containers", "ephemeralContainers"]
	some index, container in input.object.spec[kind]
	not _genuine(kind, index)
	entry := {"kind": kind, "index": index, "spec": container}
]

# METADATA
# description: All entries that may have a securityContext, the pod's own first.
contexts := array.concat([itself], containers)

# METADATA
# description: The pod says that it is for Windows, whose containers have no Linux security fields.
default windows := false

windows if input.object.spec.os.name == "windows"

# METADATA
# description: |
#   The pod has a user namespace of its own (KEP-127). Only what the Pod Security
#   Standards relax for it (all since v1.35) may ask; capabilities never do, as NET_ADMIN there still
#   owns the pod's network namespace (D8).
default user_namespace := false

user_namespace if input.object.spec.hostUsers == false

_genuine("initContainers", index) if sidecar.genuine(index)
