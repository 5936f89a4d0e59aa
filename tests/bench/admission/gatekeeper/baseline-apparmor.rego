package apparmor

violation contains {"msg": "AppArmor is unconfined"} if {
	some context in contexts
	context.appArmorProfile.type == "Unconfined"
}

violation contains {"msg": msg} if {
	some name, profile in input.review.object.metadata.annotations
	startswith(name, "container.apparmor.security.beta.kubernetes.io/")
	not profile in {"", "runtime/default"}
	not startswith(profile, "localhost/")
	msg := sprintf("AppArmor profile %s", [profile])
}
