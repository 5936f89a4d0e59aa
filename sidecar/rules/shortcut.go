package rules

import (
	"net/netip"
	"slices"
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
	at := slices.IndexFunc(b.addresses, func(addr netip.Addr) bool { return b.peers.overlap(single(addr)) })
	exceptions := filtered(slices.Concat(b.nodePrefixes(), b.family.metadata()), b.amongPeers)
	if at < 0 || len(exceptions) > 1 {
		return nil
	}
	sides := map[string]string{own: own + " " + single(b.addresses[at]).String()}
	for _, exception := range exceptions {
		sides[other] = "! " + other + " " + exception.String()
	}
	var words string
	for _, flag := range []string{"-s", "-d"} { // as iptables prints them
		if sides[flag] != "" {
			words += sides[flag] + " "
		}
	}
	if side == "dst" || b.family == IPv6 {
		words += "-p tcp "
	}
	return []Rule{pass(words+"-m set --match-set "+b.setName()+" "+side, accept, "P1 P3 P8: a pod of the same tenant, the short way")}
}

// amongPeers says whether a prefix holds addresses of the peers': what it is judged
// as must be asked before the peer set is.
func (b builder) amongPeers(prefix netip.Prefix) bool { return b.peers.overlap(prefix) }

func (b builder) elsewhere(prefix netip.Prefix) bool { return !b.amongPeers(prefix) }

func filtered(prefixes []netip.Prefix, takes func(netip.Prefix) bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !takes(p) })
}
