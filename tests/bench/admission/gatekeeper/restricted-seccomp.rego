package restrictedseccomp

violation contains {"msg": msg} if {
	not input.review.object.spec.os.name == "windows"
	some container in containers
	pod := object.get(input.review.object.spec, ["securityContext", "seccompProfile", "type"], "")
	not object.get(container, ["securityContext", "seccompProfile", "type"], pod) in {"RuntimeDefault", "Localhost"}
	msg := sprintf("container %s has no seccomp profile", [container.name])
}
