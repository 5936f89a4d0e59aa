package selinux

types := {"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"}

violation contains {"msg": msg} if {
	some context in contexts
	type := context.seLinuxOptions.type
	not type in types
	msg := sprintf("SELinux type %s", [type])
}

violation contains {"msg": msg} if {
	some context in contexts
	some field in {"user", "role"}
	object.get(context, ["seLinuxOptions", field], "") != ""
	msg := sprintf("SELinux %s is set", [field])
}
