package hostprocess

violation contains {"msg": "hostProcess is true"} if {
	some context in contexts
	context.windowsOptions.hostProcess
}
