package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// The chains' names.
const (
	input       = "BULKHEAD-INPUT"
	inputNode   = "BULKHEAD-INPUT-NODE"
	output      = "BULKHEAD-OUTPUT"
	forward     = "BULKHEAD-FORWARD"
	forwardNode = "BULKHEAD-FORWARD-NODE"
	to          = "BULKHEAD-TO"
	toNode      = "BULKHEAD-TO-NODE"
)

// The targets. What has passed the sender's side goes on to the receiver's by a
// goto: a chain that is emptied ends in the built-in chain's policy, DROP.
const (
	accept = "-j ACCEPT"
	judge  = "-g " + to
)

// opening matches the packet that opens a TCP connection.
const opening = "--tcp-flags FIN,SYN,RST,ACK SYN"

// The types of ICMPv6 that IPv6 itself lives by (RFC 4861, RFC 3810).
const (
	multicastQuery      = 130
	routerSolicit       = 133
	routerAdvertisement = 134
	neighbourSolicit    = 135
	neighbourAdvert     = 136
	redirect            = 137
	multicastReport     = 143
)

// open are the chains of a family that the pod takes part in.
func (b builder) open() []Chain {
	from := b.from(accept, inputNode)
	return []Chain{
		{input, slices.Concat([]Rule{
			pass("-i lo", accept, "P7: loopback is free on lo"),
			b.drop(match("-d", b.family.loopback()), "P7", "loopback from outside, CVE-2020-8558"),
		}, b.answers(), from[:1], b.called(), from[1:])},
		{inputNode, b.fromNode(accept)},
		{output, b.source()},
		{forward, b.from(judge, forwardNode)},
		{forwardNode, b.fromNode(judge)},
		{to, b.to()},
		{toNode, b.toNode()},
	}
}

// closed are the chains of a family in which the pod has no address of its own.
func (b builder) closed() []Chain {
	sent := []Rule{pass("-o lo", accept, "P7: loopback is free on lo")}
	if b.family == IPv6 {
		sent = append(sent, quietly(b.seeksRouters()), quietly(b.reportsGroups()))
	}
	return []Chain{
		{input, []Rule{
			pass("-i lo", accept, "P7: loopback is free on lo"),
			b.drop("", "P5", "the pod has no address of its tenant in this family"),
		}},
		{output, append(sent, b.drop("", "P5", "the pod has no address of its tenant in this family"))},
		{forward, []Rule{
			b.drop("", "P5 P12", "the pod has no address of its tenant in this family"),
		}},
	}
}

// source pins what the pod sends to its own addresses, on every interface (P10).
func (b builder) source() []Rule {
	rules := []Rule{pass("-o lo", accept, "P7: loopback is free on lo")}
	if b.family == IPv6 {
		// What IPv6 sends while it has no address yet. DHCP is no such case: it
		// is the CNI's matter, and done before any container runs.
		rules = append(rules,
			pass("-s ::/128 -d ff02::1:ff00:0/104 "+b.family.icmp(neighbourSolicit), accept, "P5: duplicate address detection"),
			pass(b.reportsGroups(), accept, "P5: multicast listener reports, or switches lose neighbour discovery"),
			quietly(b.seeksRouters()),
		)
	}
	for _, addr := range b.addresses {
		rules = append(rules, pass(match("-s", single(addr)), judge, "P3 P4 P10: an address of this pod"))
	}
	return append(rules, b.drop("", "P3 P4 P10", "a source that is not this pod"))
}

// seeksRouters and reportsGroups match what each pod's kernel sends of itself as long
// as it lives: the search for routers (RFC 7559) and reports of the groups it listens
// to (RFC 9777).
func (b builder) seeksRouters() string { return "-d ff02::2/128 " + b.family.icmp(routerSolicit) }

func (b builder) reportsGroups() string { return "-d ff02::16/128 " + b.family.icmp(multicastReport) }

// quietly drops without log or count what, told, would hide real drops.
func quietly(match string) Rule {
	return pass(match, "-j DROP", "P5 P9: what each kernel sends of itself, no alarm")
}

// from judges a sender. Gateway and nodes come before the peers where they lie
// among them: a bridge's gateway lies inside the tenant's range, and what the node
// masquerades comes from it whoever sent it (S2).
func (b builder) from(accepted, nodeChain string) []Rule {
	rules := []Rule{b.drop(match("-s", b.family.loopback()), "P7", "loopback from outside, CVE-2020-8558")}
	if b.family == IPv6 {
		rules = append(rules, b.neighbours(accepted)...)
		for _, gateway := range b.gateways {
			if gateway.IsLinkLocalUnicast() {
				rules = append(rules, pass(match("-s", single(gateway))+" "+b.family.icmp(routerAdvertisement), accepted, "P5: the router of this pod"))
			}
		}
		rules = append(rules,
			b.drop(b.family.icmp(routerAdvertisement), "P5", "routers among the pods, CVE-2020-10749"),
			b.drop(b.family.icmp(redirect), "P5", "redirects from pods"),
			pass(match("-s", linkLocal())+" "+b.family.icmp(multicastQuery), accepted, "P5: multicast listener queries"),
		)
	}
	rules = append(rules, b.metadata("-s", accepted, b.amongPeers)...)
	rules = append(rules, b.nodes("-s", nodeChain, b.amongPeers)...)
	rules = append(rules, b.peer("src", accepted)...)
	rules = append(rules, b.metadata("-s", accepted, b.elsewhere)...)
	rules = append(rules, b.nodes("-s", nodeChain, b.elsewhere)...)
	return append(rules, b.rest("-s", accepted)...)
}

// reports lets the sidecar reach the feed, wherever its Service lies, and answers lets
// the feed answer, but not call.
func (b builder) reports() []Rule {
	return b.feed("-d %s -p tcp -m tcp --dport %d", "P1: the feed, to which the sidecar reports")
}

func (b builder) answers() []Rule {
	return b.feed("-s %s -p tcp -m tcp --sport %d ! "+opening, "P1: an answer of the feed")
}

func (b builder) feed(match, intent string) []Rule {
	feed := b.config.Feed
	if feed == nil || !b.family.has(feed.Address.Addr()) {
		return nil
	}
	return []Rule{pass(fmt.Sprintf(match, single(feed.Address.Addr()), feed.Address.Port()), accept, intent)}
}

// fromNode judges what comes from a node. Nodes are trusted, but what they
// masquerade is not.
func (b builder) fromNode(accepted string) []Rule {
	var rules []Rule
	for _, port := range b.config.Probes {
		rules = append(rules, pass(fmt.Sprintf("-p tcp -m tcp --dport %d", port), accepted, "S2: a probe of the kubelet"))
	}
	for _, kind := range b.family.errors() {
		rules = append(rules, pass(b.family.icmp(kind), accepted, "S2: the node as router reports an error or the MTU"))
	}
	if b.config.Egress.Nodes == config.Allow {
		rules = append(rules, pass(b.nodeKnown("src", "-p tcp -m tcp ! "+opening), accepted, "egress.nodes: answers to the pod"))
	}
	rules = append(rules, b.resolver("-s", "sport", accepted)...)
	return append(rules, b.drop("", "S2", "NodePort or masqueraded traffic"))
}

// to judges a receiver. Encapsulation is dropped whoever it is for: a node also
// answers at addresses that no list names, such as the gateway of another node's
// bridge inside the tenant's own range, and unpacks what is sent there (P6).
func (b builder) to() []Rule {
	rules := []Rule{b.drop(match("-d", b.family.loopback()), "P7", "loopback of somebody else, CVE-2020-8558")}
	if b.family == IPv6 {
		rules = append(rules, b.neighbours(accept)...)
	}
	rules = append(rules, b.drop("-p udp -m multiport --dports 4789,8472,6081", "P6", "VXLAN or Geneve for a node to unpack"))
	for _, protocol := range []int{4, 41, 47} {
		rules = append(rules, b.drop(fmt.Sprintf("-p %d", protocol), "P6", "a tunnel (IPIP, 6in4, GRE) for a node to unpack"))
	}
	rules = append(rules, b.reports()...)
	groups, called := b.groups(), b.calledAnswers()
	if len(called) > 0 {
		rules, groups = slices.Concat(rules, groups, called), nil
	}
	rules = append(rules, b.metadata("-d", accept, b.amongPeers)...)
	rules = append(rules, b.nodes("-d", toNode, b.amongPeers)...)
	rules = append(rules, b.peer("dst", accept)...)
	rules = append(rules, b.metadata("-d", accept, b.elsewhere)...)
	rules = append(rules, b.nodes("-d", toNode, b.elsewhere)...)
	rules = append(rules, groups...)
	return append(rules, b.rest("-d", accept)...)
}

func (b builder) groups() []Rule {
	var rules []Rule
	for _, group := range b.family.groups() {
		rules = append(rules, b.drop(match("-d", group), "P9", "multicast or broadcast reaches whoever listens"))
	}
	return rules
}

// toNode judges what goes to a node.
func (b builder) toNode() []Rule {
	var rules []Rule
	if b.config.Egress.Nodes == config.Allow {
		rules = append(rules, pass(b.nodeKnown("dst", ""), accept, "egress.nodes: allowed"))
		if b.config.Addressing == config.CIDR {
			return rules
		}
	}
	for _, port := range b.config.Probes {
		rules = append(rules, pass(fmt.Sprintf("-p tcp -m tcp --sport %d ! %s", port, opening), accept, "S2: an answer to a probe"))
	}
	rules = append(rules, b.resolver("-d", "dport", accept)...)
	return append(rules, b.drop("", "S2 P6", "the node itself"))
}

// metadata judges those metadata services that the filter takes: dropped, or
// allowed as the target says.
func (b builder) metadata(direction, allowed string, takes func(netip.Prefix) bool) []Rule {
	var rules []Rule
	for _, service := range filtered(b.family.metadata(), takes) {
		if b.config.Egress.Metadata == config.Allow {
			rules = append(rules, pass(b.outsideKnown(direction, match(direction, service)), allowed, "egress.metadata: allowed"))
		} else {
			rules = append(rules, b.drop(match(direction, service), "P13", "metadata service"))
		}
	}
	return rules
}

// nodes sends what comes from or goes to a gateway or node that the filter takes to
// a chain of its own.
func (b builder) nodes(direction, chain string, takes func(netip.Prefix) bool) []Rule {
	const intent = "S2: node or gateway, only what probes need"
	var rules []Rule
	for _, node := range filtered(b.nodePrefixes(), takes) {
		rules = append(rules, pass(match(direction, node), "-g "+chain, intent))
	}
	if b.config.Addressing == config.Identity && takes(netip.Prefix{}) {
		rules = append(rules, pass(b.inSet(nodesSet, side(direction)), "-g "+chain, intent))
	}
	return rules
}

func (b builder) nodePrefixes() []netip.Prefix {
	return slices.Concat(singles(b.gateways), b.family.prefixes(b.config.Nodes))
}

// neighbours lets neighbour discovery pass; it carries nobody's data and without
// it there is no IPv6.
func (b builder) neighbours(accepted string) []Rule {
	return []Rule{
		pass(b.family.icmp(neighbourSolicit), accepted, "P5: neighbour discovery"),
		pass(b.family.icmp(neighbourAdvert), accepted, "P5: neighbour discovery"),
	}
}

// peer is the look-up in the peer set, of "src" or "dst".
func (b builder) peer(side, accepted string) []Rule {
	rules := []Rule{pass(b.inSet(peersSet, side), accepted, "P1 P8: a pod of the same tenant, at every packet")}
	if b.config.Addressing == config.Identity {
		rules = append(rules, pass("-p tcp -m tcp ! "+opening+" "+b.inSet(keptSet, side), accepted, "S7: the feed is gone, what is established is kept"))
	}
	return rules
}

// rest judges the other side's address, "-s" or "-d", if it is no peer's.
func (b builder) rest(flag, accepted string) []Rule {
	var rules []Rule
	if b.family == IPv6 {
		rules = append(rules, b.drop(match(flag, linkLocal()), "P5", "any neighbour, of whatever tenant"))
	}
	if b.config.Addressing == config.Identity {
		return append(rules, b.beyond(flag, accepted)...)
	}
	for _, denied := range b.family.prefixes(b.config.Denied) {
		rules = append(rules, b.drop(match(flag, denied), "P1 P9", "another tenant, by the address alone"))
	}
	if b.config.Egress.External == config.Allow {
		return append(rules, pass("", accepted, "egress.external: allowed"))
	}
	for _, system := range b.family.prefixes(b.config.System) {
		rules = append(rules, pass(match(flag, system), accepted, "egress.external: the cluster itself"))
	}
	return append(rules, b.drop("", "egress.external", "denied"))
}

// match is empty for a range of all addresses, as iptables prints it.
func match(flag string, prefix netip.Prefix) string {
	if prefix.Bits() == 0 {
		return ""
	}
	return flag + " " + prefix.String()
}

func single(addr netip.Addr) netip.Prefix { return netip.PrefixFrom(addr, addr.BitLen()) }

func singles(addrs []netip.Addr) []netip.Prefix {
	var prefixes []netip.Prefix
	for _, addr := range addrs {
		prefixes = append(prefixes, single(addr))
	}
	return prefixes
}
