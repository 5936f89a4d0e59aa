# METADATA
# title: Sidecar
# description: |
#   Which containers are the genuine sidecar: those at its positions that equal,
#   field by field, what this configuration injects. `input.sidecar` holds the
#   expected ones; it is null where no tenant is.
package lib.sidecar

# METADATA
# description: The names of the injected containers, by their index in initContainers.
names := ["bulkhead-init", "bulkhead-firewall"]

# METADATA
# description: The expected containers, by their index in initContainers; none without a tenant.
expected := [input.sidecar.init, input.sidecar.firewall]

# METADATA
# description: The container of that kind and index is what this configuration injects there.
genuine("initContainers", index, container) if same(container, expected[index])

# METADATA
# description: |
#   The container equals the expected one. Tolerated is only what the API server's
#   own ServiceAccount plugin adds when it runs again after the webhook: one
#   read-only mount of a token volume (L15).
same(container, wanted) if container == wanted

same(container, wanted) if {
	not "volumeMounts" in object.keys(wanted)
	[mount] := container.volumeMounts
	_token_mount(mount)
	object.remove(container, ["volumeMounts"]) == wanted
}

# The whole mount is compared: a subPath, a mountPropagation or any field of a
# newer API makes it another one.
_token_mount(mount) if {
	startswith(mount.name, "kube-api-access-")
	mount == {
		"name": mount.name,
		"readOnly": true,
		"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
	}
}
