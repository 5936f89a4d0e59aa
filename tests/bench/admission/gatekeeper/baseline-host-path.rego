package hostpath

violation contains {"msg": msg} if {
	some volume in input.review.object.spec.volumes
	volume.hostPath
	msg := sprintf("volume %s is a hostPath", [volume.name])
}
