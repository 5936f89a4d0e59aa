package seccomp

violation contains {"msg": "seccomp is unconfined"} if {
	some context in contexts
	context.seccompProfile.type == "Unconfined"
}
