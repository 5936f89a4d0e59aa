package hostports

violation contains {"msg": msg} if {
	some container in containers
	some port in container.ports
	port.hostPort > 0
	msg := sprintf("container %s takes the host's port %d", [container.name, port.hostPort])
}
