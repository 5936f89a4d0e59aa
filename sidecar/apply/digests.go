//go:build linux

package apply

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// hooked is how the kernel must hold the built-in chains, which iptables does not
// tell: type, hook and priority.
func hooked() map[string]string {
	return map[string]string{
		"INPUT":   fmt.Sprintf("filter %d 0", unix.NF_INET_LOCAL_IN),
		"FORWARD": fmt.Sprintf("filter %d 0", unix.NF_INET_FORWARD),
		"OUTPUT":  fmt.Sprintf("filter %d 0", unix.NF_INET_LOCAL_OUT),
	}
}

// unhooked says in what a table that is there does not do its work, whatever rules
// are in it: it sleeps, or its chains hang elsewhere. iptables cannot mend that.
func unhooked(family rules.Family, snapshot *nftables.Snapshot) []Difference {
	table := snapshot.Filter[familyNumber(family)]
	if table == nil {
		return nil
	}
	var found []Difference
	if table.Flags != 0 {
		found = append(found, Difference{protocol.TamperedTable, fmt.Sprintf("%s filter table has the flags %#x (dormant or owned)", family, table.Flags)})
	}
	for _, builtin := range builtins() {
		if chain := table.Chains[builtin]; chain != nil && chain.Base != hooked()[builtin] {
			found = append(found, Difference{protocol.TamperedChain, fmt.Sprintf("%s %s hangs at %q, not %q", family, builtin, chain.Base, hooked()[builtin])})
		}
	}
	return found
}

// twice says where a built-in chain has a rule of Bulkhead's again behind the first
// ones, as it happens when a tool did not list all that was there.
func twice(table rules.Table, snapshot *nftables.Snapshot) []Difference {
	var found []Difference
	for _, hook := range table.Hooks {
		chain := snapshot.Filter[familyNumber(table.Family)].Chain(hook.Builtin)
		if chain == nil || len(chain.Rules) < len(hook.Rules) {
			continue
		}
		ours, others := chain.Rules[:len(hook.Rules)], chain.Rules[len(hook.Rules):]
		for _, rule := range ours {
			if slices.ContainsFunc(others, func(other nftables.Rule) bool { return other.Digest == rule.Digest }) {
				found = append(found, Difference{protocol.TamperedJump, fmt.Sprintf("%s %s has a rule of Bulkhead's twice", table.Family, hook.Builtin)})
				break
			}
		}
	}
	return found
}

// hasChains says whether all that is planned is there by name.
func hasChains(plan rules.Plan, snapshot *nftables.Snapshot) bool {
	for _, table := range plan.Tables {
		found := snapshot.Filter[familyNumber(table.Family)]
		if found == nil {
			return false
		}
		for _, hook := range table.Hooks {
			if chain := found.Chains[hook.Builtin]; chain == nil || len(chain.Rules) < len(hook.Rules) {
				return false
			}
		}
		for _, chain := range table.Chains {
			if found.Chains[chain.Name] == nil {
				return false
			}
		}
	}
	return true
}

// changes says in what a snapshot differs from one in which the plan was proven.
func changes(plan rules.Plan, proven, now *nftables.Snapshot) []Difference {
	var found []Difference
	for _, table := range plan.Tables {
		report := func(kind protocol.TamperingKind, format string, args ...any) {
			found = append(found, Difference{kind, table.Family.String() + " " + fmt.Sprintf(format, args...)})
		}
		was, is := proven.Filter[familyNumber(table.Family)], now.Filter[familyNumber(table.Family)]
		if is == nil {
			report(protocol.TamperedTable, "filter table is gone")
			continue
		}
		if is.Flags != was.Flags {
			report(protocol.TamperedTable, "filter table has the flags %#x", is.Flags)
		}
		chain := func(name string, first int, kind protocol.TamperingKind) {
			was, is := was.Chains[name], is.Chains[name]
			switch {
			case is == nil:
				report(protocol.TamperedChain, "%s is missing", name)
			case is.Base != was.Base:
				report(protocol.TamperedChain, "%s hangs at %q", name, is.Base)
			case is.Drop != was.Drop:
				report(protocol.TamperedPolicy, "%s has the policy ACCEPT", name)
			default:
				if first < 0 { // all of the rules count, not the first ones only
					if len(is.Rules) == 0 {
						kind = protocol.TamperedChain
					}
					first = max(len(was.Rules), len(is.Rules))
				}
				for i := range first {
					if i >= len(was.Rules) || i >= len(is.Rules) || was.Rules[i].Digest != is.Rules[i].Digest {
						report(kind, "%s has another rule %d", name, i+1)
						return
					}
				}
			}
		}
		for _, hook := range table.Hooks {
			chain(hook.Builtin, len(hook.Rules), protocol.TamperedJump)
		}
		for _, planned := range table.Chains {
			chain(planned.Name, -1, protocol.TamperedRule)
		}
	}
	return found
}

// familyNumber is the kernel's for a family.
func familyNumber(family rules.Family) uint8 {
	if family == rules.IPv6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}
