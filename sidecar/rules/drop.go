package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// LogGroup is the group of nfnetlink_log that dropped packets are told to. It is
// of the pod's network namespace alone.
const LogGroup = 2839

// drops is the beginning of the names of the chains in which packets end.
const drops = "BULKHEAD-DROP-"

// pass is a rule that lets packets through, or on to another chain.
func pass(match, target, intent string) Rule {
	return Rule{Match: match, Target: target, Intent: intent}
}

// drop is a rule that ends packets for the first of the threats, or for a field of
// the configuration. Where the kernel can log it is a goto to the reason's chain: a
// rule that logs in front of each one that drops would cost every packet twice.
func (b builder) drop(match, threats, why string) Rule {
	reason, _, _ := strings.Cut(threats, " ")
	rule := Rule{Match: match, Target: "-j DROP", Intent: threats + ": " + why, Reason: reason}
	if b.log {
		rule.Target = "-g " + endOf(reason)
	}
	return rule
}

// endOf is the name of a reason's chain, "EXTERNAL" for egress.external: names have
// 28 characters.
func endOf(reason string) string {
	return drops + strings.ToUpper(strings.TrimPrefix(reason, "egress."))
}

// ends are the chains in which the chains given end packets. Each reason has its
// own bound for the log, so that many packets of one do not hide the few of another.
func (b builder) ends(chains []Chain) []Chain {
	reasons := map[string]bool{}
	for _, chain := range chains {
		for _, rule := range chain.Rules {
			reasons[rule.Reason] = b.log && rule.Reason != ""
		}
	}
	var ends []Chain
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		if !reasons[reason] {
			continue
		}
		ends = append(ends, Chain{endOf(reason), []Rule{
			pass("-m limit --limit 10/sec --limit-burst 20", fmt.Sprintf("-j NFLOG --nflog-prefix %q --nflog-group %d", reason+" "+words()[reason], LogGroup), reason+": told at a bounded rate"),
			pass("", "-j DROP", reason+": "+words()[reason]),
		}})
	}
	return ends
}

// words say what a reason is, in the log's words.
func words() map[string]string {
	return map[string]string{
		"P1":              "not a peer",
		"P3":              "forged source",
		"P5":              "IPv6 neighbour, router or none of the tenant",
		"P6":              "encapsulation",
		"P7":              "loopback from outside",
		"P9":              "multicast",
		"P13":             "metadata service",
		"S2":              "node",
		"egress.external": "outside the cluster",
	}
}
