package capabilities

allowed := {
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
	"NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
}

violation contains {"msg": msg} if {
	some container in containers
	some capability in container.securityContext.capabilities.add
	not capability in allowed
	msg := sprintf("container %s adds capability %s", [container.name, capability])
}
