package restrictedprocmount

violation contains {"msg": msg} if {
	some container in containers
	not object.get(container, ["securityContext", "procMount"], "Default") == "Default"
	msg := sprintf("container %s has another procMount", [container.name])
}
