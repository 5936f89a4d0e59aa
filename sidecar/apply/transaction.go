//go:build linux

package apply

import (
	"fmt"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// The functions below write what iptables-restore --noflush executes in one
// transaction. They are given the table as it was read, or nil if it could not be:
// foreign nftables rules can make it unreadable for iptables, though not
// unwritable.

// guardTransaction closes the built-in chains, unless the guard is already their
// first rule; empty if nothing is to do. Rules that cannot be read are flushed in
// the same step: guards would heap up on them.
func guardTransaction(found *listing) string {
	var body strings.Builder
	for _, builtin := range builtins() {
		if found == nil {
			fmt.Fprintf(&body, "-F %s\n", builtin)
		}
		if found == nil || !found.guards(builtin) {
			fmt.Fprintf(&body, "-I %s 1 %s\n", builtin, guard().Spec())
		}
	}
	return transaction(body.String())
}

// tableTransaction brings a whole table in. Foreign rules of the built-in chains stay,
// if they could be read, but behind ours. The guard among the rules keeps its place at
// their head, unless nftables' own guard stands: then it goes.
func tableTransaction(want rules.Table, found *listing, guarded bool) string {
	var body strings.Builder
	for _, hook := range want.Hooks {
		if found == nil || found.policies[hook.Builtin] != "DROP" { // to set what is set costs the kernel a pause
			fmt.Fprintf(&body, ":%s DROP [0:0]\n", hook.Builtin)
		}
	}
	for _, chain := range want.Chains {
		fmt.Fprintf(&body, ":%s - [0:0]\n", chain.Name) // empties it too
	}
	for _, chain := range want.Chains {
		for _, rule := range chain.Rules {
			fmt.Fprintf(&body, "-A %s %s\n", chain.Name, rule.Spec())
		}
	}
	for _, hook := range want.Hooks {
		first := 2
		if guarded {
			first = 1
			remove(&body, hook.Builtin, guard(), found)
		}
		for i, rule := range hook.Rules {
			remove(&body, hook.Builtin, rule, found)
			fmt.Fprintf(&body, "-I %s %d %s\n", hook.Builtin, first+i, rule.Spec())
		}
	}
	return transaction(body.String())
}

func remove(body *strings.Builder, chain string, rule rules.Rule, found *listing) {
	for range found.count(chain, rule) {
		fmt.Fprintf(body, "-D %s %s\n", chain, rule.Spec())
	}
}

// liftTransaction takes every guard away.
func liftTransaction(found *listing) string {
	var body strings.Builder
	for _, builtin := range builtins() {
		remove(&body, builtin, guard(), found)
	}
	return transaction(body.String())
}

func transaction(body string) string {
	if body == "" {
		return ""
	}
	return "*filter\n" + body + "COMMIT\n"
}
