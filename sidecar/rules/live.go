package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// Live is what the feed has told, with addressing by identity. All of it goes into
// sets, so that no rule changes with it and nothing must be closed meanwhile:
//
//	peers    who the pod may talk to
//	kept     with whom connections go on, but none begins, while the feed is gone
//	nodes    nodes and gateways
//	outside  everything but the cluster's ranges and what is denied
//
// Each of them lets pass: before the feed has told anything they are empty, and so
// nothing passes but loopback, the feed, and the probes of the pod's own gateways.
//
// The exception are public ports of this very pod, a rule each.
type Live struct {
	Cluster protocol.Cluster
	// Peers and Denied are ascending, each once.
	Peers, Denied []netip.Addr
	// Open are the public ports of pods, of this one and others.
	Open []protocol.Open
	// Lapsed says that the feed has been gone for longer than its lease.
	Lapsed bool
}

// The names of the sets beside peersSet, without the family.
const (
	keptSet    = "kept"
	nodesSet   = "nodes"
	outsideSet = "outside"
)

// liveSets are the sets of a family, empty if the pod takes no part in it.
func (b builder) liveSets() (peers Set, others []Set) {
	var admitted, kept, nodes, services, outside, cluster []netip.Prefix
	if b.live != nil {
		admitted, kept = b.admitted()
		nodes, services = b.nodeMembers()
		outside, cluster = b.outside()
	}
	return b.set(peersSet, admitted, nil), []Set{
		b.set(keptSet, kept, nil), b.set(nodesSet, nodes, services), b.set(outsideSet, outside, cluster),
	}
}

// nodeMembers are the nodes' addresses but metadata services, where those are not dropped
// before.
func (b builder) nodeMembers() (members, exceptions []netip.Prefix) {
	members = newRanges(slices.Concat(singles(b.gateways), b.family.prefixes(b.live.Cluster.Nodes), b.family.neighbours()))
	if b.config.Egress.Metadata == config.Deny {
		return members, nil
	}
	exceptions = newRanges(b.family.metadata())
	return filtered(members, func(p netip.Prefix) bool {
		return !slices.ContainsFunc(exceptions, func(service netip.Prefix) bool { return service.Bits() <= p.Bits() && service.Overlaps(p) })
	}), exceptions
}

// admitted are the peers, and those of them with whom only what is established goes
// on. An address that is not the cluster's is nobody's, and nodes, gateways and
// metadata services are no peers, whoever says so: they are judged as what they are
// (S2, P13).
func (b builder) admitted() (peers, kept []netip.Prefix) {
	c := b.live.Cluster
	pods := disjoint(b.family.prefixes(c.Pods))
	among := disjoint(slices.Concat(pods, b.family.prefixes(c.Services)))
	special := disjoint(slices.Concat(singles(b.gateways), b.family.prefixes(c.Nodes), b.family.metadata(), b.family.neighbours(), []netip.Prefix{linkLocal(), b.family.loopback()}, b.family.groups()))
	all := b.family.ascending(b.live.Peers)
	peers = make([]netip.Prefix, 0, len(all))
	for _, addr := range all {
		switch {
		case !among.next(addr) || special.next(addr) || b.live.Lapsed && b.config.WhenFeedGone == config.Close:
		case b.live.Lapsed && pods.next(addr): // behind the address of a Service the pod that receives still judges
			kept = append(kept, single(addr))
		default:
			peers = append(peers, single(addr))
		}
	}
	return peers, kept
}

// outside is everything, in two halves since no set takes it whole, but the cluster
// and what is denied beside it. It is nothing when the feed is gone and all is to be
// closed: nobody would tell of a load balancer or node that is new.
func (b builder) outside() (members, exceptions []netip.Prefix) {
	if b.live.Lapsed && b.config.WhenFeedGone == config.Close {
		return nil, nil
	}
	c := b.live.Cluster
	cluster := slices.Concat(b.family.prefixes(c.Pods), b.family.prefixes(c.Services), b.family.prefixes(c.Nodes), singles(b.family.addresses(b.live.Denied)))
	exceptions = newRanges(slices.Concat(cluster, b.family.neighbours()))
	members = b.family.halves()
	if b.config.Egress.Metadata == config.Allow { // some of which are neighbours' addresses
		members = append(members, filtered(b.family.metadata(), func(service netip.Prefix) bool { return !holds(cluster, service.Addr()) })...)
	}
	return newRanges(filtered(members, func(p netip.Prefix) bool { return !slices.Contains(exceptions, p) })), exceptions
}

// beyond judges what is no peer, node or metadata service, by "-s" or "-d".
func (b builder) beyond(flag, accepted string) []Rule {
	outside := pass(b.inSet(outsideSet, side(flag)), accepted, "egress.external: allowed, but for what is denied (S2)")
	if b.config.Egress.External == config.Deny {
		outside = b.drop(b.inSet(outsideSet, side(flag)), "egress.external", "denied, and told as that")
	}
	return []Rule{outside, b.drop("", "P1 P9 S1 S2", "no peer, and not outside the cluster")}
}

// called lets anybody reach the public ports of this pod: what comes through a load
// balancer or a node's port may have the node's address.
func (b builder) called() []Rule {
	var rules []Rule
	for _, open := range b.opened() {
		rules = append(rules, pass(match("-d", single(open.Address))+port(open, "dport"), accept, "S2: a public port of this pod"))
	}
	return rules
}

// calledAnswers lets the pod answer from there, and not call: TCP opens no connection.
// Groups are not answered, so they must be dropped before.
func (b builder) calledAnswers() []Rule {
	var rules []Rule
	for _, open := range b.opened() {
		answer := match("-s", single(open.Address)) + port(open, "sport")
		if open.Protocol == "tcp" {
			answer += " ! " + opening
		}
		rules = append(rules, pass(answer, accept, "S2: an answer of a public port"))
	}
	return rules
}

// opened are the pod's own public ports, each once.
func (b builder) opened() []protocol.Open {
	if b.live == nil {
		return nil
	}
	own := slices.DeleteFunc(slices.Clone(b.live.Open), func(o protocol.Open) bool { return !slices.Contains(global(b.addresses), o.Address) })
	slices.SortFunc(own, protocol.Open.Compare)
	return slices.Compact(own)
}

// port matches an Open's, by "sport" or "dport". SCTP's is asked of the module that
// the rules need anyway.
func port(open protocol.Open, which string) string {
	if open.Protocol == "sctp" {
		return fmt.Sprintf(" -p sctp -m multiport --%ss %d", which, open.Port)
	}
	return fmt.Sprintf(" -p %[1]s -m %[1]s --%[2]s %[3]d", open.Protocol, which, open.Port)
}

// resolver lets the cache of DNS that a node may have at an address of its own link be
// asked (-d, dport) and answer (-s, sport); to such an address nobody else answers.
func (b builder) resolver(flag, port, accepted string) []Rule {
	var rules []Rule
	for _, link := range b.family.neighbours() {
		if b.config.Addressing == config.CIDR {
			break
		}
		udp := fmt.Sprintf("%s -p udp -m udp --%s 53", match(flag, link), port)
		tcp := fmt.Sprintf("%s -p tcp -m tcp --%s 53", match(flag, link), port)
		if flag == "-s" {
			tcp += " ! " + opening
		}
		for _, words := range []string{udp, tcp} {
			rules = append(rules, pass(b.nodeKnown(side(flag), words), accepted, "S2: DNS, if the node caches it"))
		}
	}
	return rules
}

// nodeKnown narrows a match to nodes that the feed has told of, where it is what
// tells: before, even allowed ones are not talked to.
func (b builder) nodeKnown(side, words string) string {
	if b.config.Addressing == config.CIDR {
		return words
	}
	return joined(words, b.inSet(nodesSet, side))
}

// outsideKnown narrows a match of "-s" or "-d" in the same way to what is outside.
func (b builder) outsideKnown(flag, words string) string {
	if b.config.Addressing == config.CIDR {
		return words
	}
	return joined(words, b.inSet(outsideSet, side(flag)))
}

// among says whether one of the pod's addresses lies in the ranges.
func (b builder) among(ranges []netip.Prefix) bool {
	return slices.ContainsFunc(global(b.addresses), func(addr netip.Addr) bool { return holds(ranges, addr) })
}

// side is a flag in the words of a set.
func side(flag string) string {
	if flag == "-s" {
		return "src"
	}
	return "dst"
}
