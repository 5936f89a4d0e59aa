// Package rules turns a sidecar's configuration and what is known of its pod
// into the firewall's rules, for IPv4 and IPv6. It is pure: it reads nothing and
// runs nothing; package apply brings a Plan into the kernel.
//
// The rules live in chains of their own in the filter table:
//
//	INPUT    lo | who sends it: node, peer, denied, outside
//	OUTPUT   lo | is the source the pod's own | TO
//	FORWARD  who sends it: the same rules as INPUT | TO
//	TO       who receives it: node, peer, denied, outside
//	DROP-*   one for each reason: log at a bounded rate, drop
//
// so that forwarded traffic is held to the very same rules. What a pod mostly does,
// to talk to its peers, is one rule in INPUT and OUTPUT in front of them all: each
// rule on a packet's way costs as much as the look-up's half. Nothing is stateful:
// every packet is judged by its addresses alone, whatever its protocol (THREATS.md
// P8, P9), and a peer costs one look-up in a hash set, however large the set is.
// What is denied are plain rules; the set can only let in, so an emptied set
// closes. So does an emptied chain: what passes is accepted by a rule, and what
// meets none ends in the built-in chain's policy, which is DROP, because chains are
// entered by goto and there is nothing to return to.
//
// With addressing by identity all that the feed tells is in sets, and the rules are the
// same before and after: what changes, changes in the members of sets, which takes no
// guard. See Live.
package rules

import (
	"fmt"
	"net/netip"
	"strings"
)

// Plan is the whole firewall: one table for each family that the kernel has.
type Plan struct {
	Tables []Table
	// Adopt says that what sets hold already is theirs for now, whatever members
	// are planned: a sidecar that starts again leaves what it finds.
	Adopt bool
}

// Table is what belongs into the filter table of one family.
type Table struct {
	Family Family
	Peers  Set
	// Others are the other sets, with addressing by identity.
	Others []Set
	// Hooks are the first rules of the built-in chains; the built-in chain's
	// policy is DROP.
	Hooks []Hook
	// Chains are Bulkhead's own chains, whole and in order.
	Chains []Chain
}

// Sets are all of the table's.
func (t Table) Sets() []Set { return append([]Set{t.Peers}, t.Others...) }

// Place is where a rule stands: its number in a chain, from 0.
type Place struct {
	Chain  string
	Number int
}

// Drops are the rules that send packets to their end, and where to read of each how
// many.
func (t Table) Drops(yield func(Place, Rule) bool) {
	for _, chain := range t.Chains {
		for i, rule := range chain.Rules {
			if rule.Reason != "" && !yield(Place{chain.Name, i}, rule) {
				return
			}
		}
	}
}

// Set is an ipset of type hash:net.
type Set struct {
	Name   string
	Family Family
	// Members are in the order of Ascending, each once.
	Members []netip.Prefix
	// Exceptions are in no set though a larger member holds them ("nomatch"), in
	// the same order. None is a member too.
	Exceptions []netip.Prefix
}

// Hook is what a built-in chain begins with. The last of its rules is a goto for
// every packet, so that foreign rules behind it are never met.
type Hook struct {
	Builtin string
	Rules   []Rule
}

// Chain is a chain of Bulkhead's own.
type Chain struct {
	Name  string
	Rules []Rule
}

// Rule is one rule, in the words and the order of `iptables -S`.
type Rule struct {
	// Match is what a packet must look like; empty for any packet.
	Match string
	// Target is what becomes of it: "-j" or "-g" and a verdict or chain.
	Target string
	// Intent says in one line why, and begins with the ids of the threats it
	// answers to or the field of the configuration it follows. It is the
	// rule's comment in the kernel.
	Intent string
	// Reason is the threat's id or the configuration's field for which the
	// rule sends packets to their end; empty in a rule that passes them, and in
	// the chain that ends them, where they would be counted again.
	Reason string
}

// Spec is the rule as iptables' arguments, without its chain.
func (r Rule) Spec() string {
	spec := fmt.Sprintf("-m comment --comment %q %s", r.Intent, r.Target)
	if r.Match != "" {
		spec = r.Match + " " + spec
	}
	return spec
}

// String prints the plan for a person: the golden files are made of it.
func (p Plan) String() string {
	var b strings.Builder
	for _, table := range p.Tables {
		fmt.Fprintf(&b, "%s\n", table.Family)
		for _, set := range table.Sets() {
			if len(set.Members) == 0 {
				fmt.Fprintf(&b, "  set %s: nobody\n", set.Name)
			}
			for _, member := range set.Members {
				fmt.Fprintf(&b, "  set %s: %s\n", set.Name, member)
			}
			for _, exception := range set.Exceptions {
				fmt.Fprintf(&b, "  set %s: not %s\n", set.Name, exception)
			}
		}
		for _, hook := range table.Hooks {
			fmt.Fprintf(&b, "\n  %s (policy DROP)\n", hook.Builtin)
			for _, rule := range hook.Rules {
				b.WriteString(rule.line())
			}
		}
		for _, chain := range table.Chains {
			fmt.Fprintf(&b, "\n  %s\n", chain.Name)
			for _, rule := range chain.Rules {
				b.WriteString(rule.line())
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (r Rule) line() string {
	words := r.Target
	if r.Match != "" {
		words = r.Match + " " + r.Target
	}
	return fmt.Sprintf("    %-88s # %s\n", words, r.Intent)
}
