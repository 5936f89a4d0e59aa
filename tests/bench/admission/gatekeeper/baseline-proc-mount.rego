package procmount

violation contains {"msg": msg} if {
	object.get(input.review.object.spec, "hostUsers", true)
	some container in containers
	not object.get(container, ["securityContext", "procMount"], "Default") == "Default"
	msg := sprintf("container %s has another procMount", [container.name])
}
