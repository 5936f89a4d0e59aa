//go:build linux

package apply

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// guard is the rule at position 1 that closes a built-in chain while the state is
// in doubt, where nftables' own guard cannot be had.
func guard() rules.Rule {
	return rules.Rule{Target: "-j DROP", Intent: "L8: guard, the rules are in doubt"}
}

// builtins are the chains through which every packet goes.
func builtins() []string { return []string{"INPUT", "OUTPUT", "FORWARD"} }

// listing is a filter table as `iptables -S` prints it.
type listing struct {
	policies map[string]string
	// chains hold the rules' words, without the chain's name.
	chains map[string][]string
}

// parseListing reads the output of `iptables -S` and fails on anything that it
// does not know, and if a built-in chain is missing: a listing that is cut short
// must not pass for a table without rules.
func parseListing(lines []string) (*listing, error) {
	found := &listing{policies: map[string]string{}, chains: map[string][]string{}}
	for _, line := range lines {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(line, "#"):
		case words[0] == "-P" && len(words) == 3:
			found.policies[words[1]] = words[2]
			found.chains[words[1]] = nil
		case words[0] == "-N" && len(words) == 2:
			found.chains[words[1]] = nil
		case words[0] == "-A" && len(words) > 2:
			found.chains[words[1]] = append(found.chains[words[1]], canonical(words[2:]))
		default:
			return nil, fmt.Errorf("read the filter table: unknown line %q", line)
		}
	}
	for _, builtin := range builtins() {
		if found.policies[builtin] == "" {
			return nil, fmt.Errorf("read the filter table: no chain %s in it", builtin)
		}
	}
	return found, nil
}

// canonical joins a rule's words, with protocols by number: which names iptables
// prints depends on whether the image has an /etc/protocols.
func canonical(words []string) string {
	words = slices.Clone(words)
	for i := range words[:len(words)-1] {
		if words[i] == "-p" {
			words[i+1] = protocolNumber(words[i+1])
		}
	}
	return strings.Join(words, " ")
}

func protocolNumber(name string) string {
	switch name {
	case "icmp":
		return "1"
	case "ipencap":
		return "4"
	case "tcp":
		return "6"
	case "udp":
		return "17"
	case "ipv6":
		return "41"
	case "gre":
		return "47"
	case "ipv6-icmp", "icmpv6":
		return "58"
	}
	return name
}

func spec(rule rules.Rule) string { return canonical(strings.Fields(rule.Spec())) }

// count says how often a chain has a rule; never, if nothing could be read.
func (l *listing) count(chain string, rule rules.Rule) int {
	if l == nil {
		return 0
	}
	n := 0
	for _, found := range l.chains[chain] {
		if found == spec(rule) {
			n++
		}
	}
	return n
}

// emptyListing is that of a table without rules.
func emptyListing(policy string) *listing {
	empty := &listing{policies: map[string]string{}, chains: map[string][]string{}}
	for _, builtin := range builtins() {
		empty.policies[builtin], empty.chains[builtin] = policy, nil
	}
	return empty
}

// guarded says whether the guard is the first rule of all built-in chains.
func (l *listing) guarded() bool {
	return !slices.ContainsFunc(builtins(), func(builtin string) bool { return !l.guards(builtin) })
}

func (l *listing) guards(chain string) bool {
	found := l.chains[chain]
	return len(found) > 0 && found[0] == spec(guard())
}

// differences says in what a table is not what is planned, leaving the guard out
// of account. Of each chain it tells the first, which is enough.
func (l *listing) differences(want rules.Table) []Difference {
	var differences []Difference
	report := func(kind protocol.TamperingKind, format string, args ...any) {
		differences = append(differences, Difference{kind, want.Family.String() + " " + fmt.Sprintf(format, args...)})
	}
	for _, hook := range want.Hooks {
		if policy := l.policies[hook.Builtin]; policy != "DROP" {
			report(protocol.TamperedPolicy, "%s has the policy %s", hook.Builtin, policy)
		}
		found := slices.DeleteFunc(slices.Clone(l.chains[hook.Builtin]), func(rule string) bool { return rule == spec(guard()) })
		if i, first := mismatch(hook.Rules, found); i < len(hook.Rules) {
			report(protocol.TamperedJump, "%s has as rule %d: %s", hook.Builtin, i+1, first)
		}
	}
	for _, chain := range want.Chains {
		found, ok := l.chains[chain.Name]
		i, other := mismatch(chain.Rules, found)
		switch {
		case !ok:
			report(protocol.TamperedChain, "%s is missing", chain.Name)
		case len(found) == 0:
			report(protocol.TamperedChain, "%s is empty", chain.Name)
		case i < len(chain.Rules):
			report(protocol.TamperedRule, "%s has as rule %d: %s", chain.Name, i+1, other)
		case len(found) > len(chain.Rules):
			report(protocol.TamperedRule, "%s has a rule too much: %s", chain.Name, found[i])
		}
	}
	return differences
}

// mismatch is the number of the first rule that is not as planned, and what is there
// instead.
func mismatch(planned []rules.Rule, found []string) (int, string) {
	for i, rule := range planned {
		if i >= len(found) {
			return i, "nothing"
		}
		if found[i] != spec(rule) {
			return i, found[i]
		}
	}
	return len(planned), ""
}
