package lib

containers contains container if {
	some kind in {"containers", "initContainers", "ephemeralContainers"}
	some container in input.review.object.spec[kind]
}

# contexts are the security contexts of the pod and of its containers.
contexts contains input.review.object.spec.securityContext

contexts contains container.securityContext if some container in containers
