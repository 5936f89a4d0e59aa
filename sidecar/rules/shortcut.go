package rules

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// shortcut is the rule in front of all others, by which the commonest packet leaves
// at once: one between the pod's own address and a peer's. The conditions of one
// rule cost little beside a rule of its own, so it holds all that the chains would
// have asked such a packet: is the pod's side an address of the pod's (P3, P4, P7),
// is the other side a gateway or node inside the tenant's range (S2), is it TCP, or
// at least nothing for which the family has rules (P5, P6). There is none where that
// cannot be asked in one rule; the chains then do it all.
//
// other and own are the flags of the two sides, side is the other in the set's words.
func (b builder) shortcut(other, own, side string) []Rule {
	if b.config.Addressing == config.Identity {
		// What must be asked before the peers are is in no set of theirs.
		ours := own + " " + single(global(b.addresses)[0]).String()
		return []Rule{b.short(side, ours, "", b.inSet(peersSet, side))}
	}
	at := slices.IndexFunc(b.addresses, func(addr netip.Addr) bool { return b.peers.overlap(single(addr)) })
	exceptions := filtered(slices.Concat(b.nodePrefixes(), b.family.metadata()), b.amongPeers)
	if at < 0 || len(exceptions) > 1 {
		return nil
	}
	var rules []Rule
	ours := own + " " + single(b.addresses[at]).String()
	if home, ok := b.home(b.addresses[at]); ok && len(exceptions) == 0 {
		rules = append(rules, b.short(side, ours, match(other, home), ""))
	}
	if len(rules) == 0 || len(b.peers) > 1 {
		theirs := ""
		for _, exception := range exceptions {
			theirs = "! " + other + " " + exception.String()
		}
		rules = append(rules, b.short(side, ours, theirs, b.inSet(peersSet, side)))
	}
	return rules
}

// home is the range of the peers' that the pod's own address lies in, if there is one:
// in addressing by range most of what a pod says stays in it, and to compare with one
// range costs a third of a look-up in the set.
func (b builder) home(addr netip.Addr) (netip.Prefix, bool) {
	for bits := 1; bits < addr.BitLen(); bits++ {
		if prefix := netip.PrefixFrom(addr, bits).Masked(); b.peers.holds(prefix) {
			return prefix, true
		}
	}
	return netip.Prefix{}, false
}

// short is a rule of these conditions, in iptables' order: -s, -d, -p, -m.
func (b builder) short(side, ours, theirs, set string) Rule {
	words := []string{ours, theirs}
	if side == "src" {
		words = []string{theirs, ours}
	}
	if side == "dst" || b.family == IPv6 {
		words = append(words, "-p tcp")
	}
	return pass(joined(append(words, set)...), accept, "P1 P3 P8: a pod of the same tenant, the short way")
}

// joined are the words that are not empty.
func joined(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " ")
}

// amongPeers says whether a prefix holds addresses of the peers': what it is judged
// as must be asked before the peer set is.
func (b builder) amongPeers(prefix netip.Prefix) bool { return b.peers.overlap(prefix) }

func (b builder) elsewhere(prefix netip.Prefix) bool { return !b.amongPeers(prefix) }

func filtered(prefixes []netip.Prefix, takes func(netip.Prefix) bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !takes(p) })
}
