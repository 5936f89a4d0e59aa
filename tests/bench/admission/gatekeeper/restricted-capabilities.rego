package restrictedcapabilities

violation contains {"msg": msg} if {
	not input.review.object.spec.os.name == "windows"
	some container in containers
	not "ALL" in object.get(container, ["securityContext", "capabilities", "drop"], [])
	msg := sprintf("container %s does not drop all capabilities", [container.name])
}

violation contains {"msg": msg} if {
	not input.review.object.spec.os.name == "windows"
	some container in containers
	some capability in container.securityContext.capabilities.add
	capability != "NET_BIND_SERVICE"
	msg := sprintf("container %s adds capability %s", [container.name, capability])
}
