package hostnamespaces

violation contains {"msg": msg} if {
	some field in {"hostNetwork", "hostPID", "hostIPC"}
	input.review.object.spec[field]
	msg := sprintf("%s is true", [field])
}
