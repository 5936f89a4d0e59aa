package runasuser

violation contains {"msg": "runAsUser is 0"} if {
	some context in contexts
	context.runAsUser == 0
}
