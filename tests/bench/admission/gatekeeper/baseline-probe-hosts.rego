package probehosts

handlers contains container[probe] if {
	some container in containers
	some probe in {"livenessProbe", "readinessProbe", "startupProbe"}
}

handlers contains container.lifecycle[hook] if {
	some container in containers
	some hook in {"postStart", "preStop"}
}

violation contains {"msg": msg} if {
	some handler in handlers
	some kind in {"httpGet", "tcpSocket"}
	host := handler[kind].host
	host != ""
	msg := sprintf("probe or lifecycle host %s", [host])
}
