package privilegeescalation

violation contains {"msg": msg} if {
	not input.review.object.spec.os.name == "windows"
	some container in containers
	not container.securityContext.allowPrivilegeEscalation == false
	msg := sprintf("container %s may escalate privileges", [container.name])
}
