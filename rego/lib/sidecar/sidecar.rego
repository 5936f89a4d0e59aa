# METADATA
# title: Sidecar
# description: |
#   Which containers are the genuine sidecar: those at its places that equal, field by
#   field, what this configuration injects. `input.sidecar` holds, by their index in
#   initContainers, the containers expected there, those found, and those that were
#   there before an update, each whole. There is no `input.sidecar` without a tenant.
#   `input.sidecar.volumes` holds in the same way the volumes of the sidecar's name.
package lib.sidecar

# METADATA
# description: The names of the injected containers, by their index in initContainers.
names := ["bulkhead-init", "bulkhead-firewall"]

# METADATA
# description: The name of the volume with the token of bulkhead-firewall.
volume := "bulkhead-token"

# METADATA
# description: The volumes of that name are what this configuration injects, one or none.
genuine_volumes if same(input.sidecar.volumes.found, input.sidecar.volumes.expected)

# METADATA
# description: The container at that index is what this configuration injects there.
genuine(index) if same(input.sidecar.found[index], input.sidecar.expected[index])

# Tolerated is only what the API server's own ServiceAccount plugin adds when it runs
# again after the webhook: one more read-only mount, of a token volume (L15). The whole mount
# is compared: a subPath, a mountPropagation or any field of a newer API makes it
# another one. The volume must be a projected one, as that plugin's is: an image volume,
# which the kubelet mounts with the container and not with the pod, could keep these
# containers alone from starting (L17).
genuine(index) if {
	container := input.sidecar.found[index]
	expected := input.sidecar.expected[index]
	mounts := object.get(expected, "volumeMounts", [])
	mount := container.volumeMounts[count(mounts)]
	container.volumeMounts == array.concat(mounts, [mount])
	startswith(mount.name, "kube-api-access-")
	some volume in input.object.spec.volumes
	volume.name == mount.name
	volume.projected
	mount == {
		"name": mount.name,
		"readOnly": true,
		"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
	}
	same(object.remove(container, ["volumeMounts"]), object.remove(expected, ["volumeMounts"]))
}

# METADATA
# description: |
#   Both are equal. Unlike `==`, which unifies field by field, `in` compares whole
#   values: a quarter of a review's time for two containers.
same(one, other) if one in [other]
