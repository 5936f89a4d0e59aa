package runasnonroot

violation contains {"msg": msg} if {
	some container in containers
	pod := object.get(input.review.object.spec, ["securityContext", "runAsNonRoot"], false)
	not object.get(container, ["securityContext", "runAsNonRoot"], pod)
	msg := sprintf("container %s may run as root", [container.name])
}
