package volumetypes

allowed := {"name", "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret"}

violation contains {"msg": msg} if {
	some volume in input.review.object.spec.volumes
	some field, _ in volume
	not field in allowed
	msg := sprintf("volume %s is of type %s", [volume.name, field])
}
