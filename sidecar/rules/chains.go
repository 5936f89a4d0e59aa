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
	drop   = "-j DROP"
	judge  = "-g " + to
)

// opening matches the packet that opens a TCP connection.
const opening = "--tcp-flags FIN,SYN,RST,ACK SYN"

// The types of ICMPv6 that IPv6 itself lives by (RFC 4861, RFC 3810).
const (
	multicastQuery      = 130
	routerAdvertisement = 134
	neighbourSolicit    = 135
	neighbourAdvert     = 136
	redirect            = 137
	multicastReport     = 143
)

// open are the chains of a family that the pod takes part in.
func (b builder) open() []Chain {
	return []Chain{
		{input, append([]Rule{{"-i lo", accept, "P7: loopback is free on lo"}}, b.from(accept, inputNode)...)},
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
	return []Chain{
		{input, []Rule{
			{"-i lo", accept, "P7: loopback is free on lo"},
			{"", drop, "P5: the pod has no address of its tenant in this family"},
		}},
		{output, []Rule{
			{"-o lo", accept, "P7: loopback is free on lo"},
			{"", drop, "P5: the pod has no address of its tenant in this family"},
		}},
		{forward, []Rule{
			{"", drop, "P5 P12: the pod has no address of its tenant in this family"},
		}},
	}
}

// source pins what the pod sends to its own addresses, on every interface (P10).
func (b builder) source() []Rule {
	rules := []Rule{{"-o lo", accept, "P7: loopback is free on lo"}}
	if b.family == IPv6 {
		// What IPv6 sends while it has no address yet. DHCP is no such case: it
		// is the CNI's matter, and done before any container runs.
		rules = append(rules,
			Rule{"-s ::/128 -d ff02::1:ff00:0/104 " + b.family.icmp(neighbourSolicit), accept, "P5: duplicate address detection"},
			Rule{"-d ff02::16/128 " + b.family.icmp(multicastReport), accept, "P5: multicast listener reports, or switches lose neighbour discovery"},
		)
	}
	for _, addr := range b.addresses {
		rules = append(rules, Rule{match("-s", single(addr)), judge, "P3 P4 P10: an address of this pod"})
	}
	return append(rules, Rule{"", drop, "P3 P4 P10: a source that is not this pod"})
}

// from judges a sender. Gateway and nodes come before the peers: a bridge's
// gateway lies inside the tenant's range, and what the node masquerades comes from
// it whoever sent it (S2).
func (b builder) from(pass, nodeChain string) []Rule {
	rules := []Rule{
		{match("-s", b.family.loopback()), drop, "P7: loopback from outside, CVE-2020-8558"},
		{match("-d", b.family.loopback()), drop, "P7: loopback from outside, CVE-2020-8558"},
	}
	if b.family == IPv6 {
		rules = append(rules, b.neighbours(pass)...)
		rules = append(rules, Rule{match("-s", linkLocal()) + " " + b.family.icmp(multicastQuery), pass, "P5: multicast listener queries"})
		for _, gateway := range b.gateways {
			if gateway.IsLinkLocalUnicast() {
				rules = append(rules, Rule{match("-s", single(gateway)) + " " + b.family.icmp(routerAdvertisement), pass, "P5: the router of this pod"})
			}
		}
		rules = append(rules,
			Rule{b.family.icmp(routerAdvertisement), drop, "P5: routers among the pods, CVE-2020-10749"},
			Rule{b.family.icmp(redirect), drop, "P5: redirects from pods"},
		)
	}
	rules = append(rules, b.metadata("-s", pass)...)
	for _, node := range slices.Concat(singles(b.gateways), b.family.prefixes(b.config.Nodes)) {
		rules = append(rules, Rule{match("-s", node), "-g " + nodeChain, "S2: node or gateway, only what probes need"})
	}
	return append(rules, b.ranges("-s", "src", pass)...)
}

// metadata judges the metadata services: dropped, or allowed as the target says.
func (b builder) metadata(direction, allowed string) []Rule {
	var rules []Rule
	for _, service := range b.family.metadata() {
		rule := Rule{match(direction, service), drop, "P13: metadata service"}
		if b.config.Egress.Metadata == config.Allow {
			rule = Rule{rule.Match, allowed, "egress.metadata: allowed"}
		}
		rules = append(rules, rule)
	}
	return rules
}

// fromNode judges what comes from a node. Nodes are trusted, but what they
// masquerade is not.
func (b builder) fromNode(pass string) []Rule {
	var rules []Rule
	for _, port := range b.config.Probes {
		rules = append(rules, Rule{fmt.Sprintf("-p tcp -m tcp --dport %d", port), pass, "S2: a probe of the kubelet"})
	}
	for _, kind := range b.family.errors() {
		rules = append(rules, Rule{b.family.icmp(kind), pass, "S2: the node as router reports an error or the MTU"})
	}
	if b.config.Egress.Nodes == config.Allow {
		rules = append(rules, Rule{"-p tcp -m tcp ! " + opening, pass, "egress.nodes: answers to the pod"})
	}
	return append(rules, Rule{"", drop, "S2: NodePort or masqueraded traffic"})
}

// to judges a receiver. Encapsulation is dropped whoever it is for: a node also
// answers at addresses that no list names, such as the gateway of another node's
// bridge inside the tenant's own range, and unpacks what is sent there (P6).
func (b builder) to() []Rule {
	rules := []Rule{
		{match("-d", b.family.loopback()), drop, "P7: loopback of somebody else, CVE-2020-8558"},
	}
	if b.family == IPv6 {
		rules = append(rules, b.neighbours(accept)...)
	}
	rules = append(rules, b.metadata("-d", accept)...)
	rules = append(rules, Rule{"-p udp -m multiport --dports 4789,8472,6081", drop, "P6: VXLAN or Geneve for a node to unpack"})
	for _, protocol := range []int{4, 41, 47} {
		rules = append(rules, Rule{fmt.Sprintf("-p %d", protocol), drop, "P6: a tunnel (IPIP, 6in4, GRE) for a node to unpack"})
	}
	for _, gateway := range singles(b.gateways) {
		rules = append(rules, Rule{match("-d", gateway), "-g " + toNode, "S2: gateway, only answers to probes"})
	}
	for _, group := range b.family.groups() {
		rules = append(rules, Rule{match("-d", group), drop, "P9: multicast or broadcast reaches whoever listens"})
	}
	return append(rules, b.ranges("-d", "dst", accept)...)
}

// toNode judges what goes to a node.
func (b builder) toNode() []Rule {
	if b.config.Egress.Nodes == config.Allow {
		return []Rule{{"", accept, "egress.nodes: allowed"}}
	}
	var rules []Rule
	for _, port := range b.config.Probes {
		rules = append(rules, Rule{fmt.Sprintf("-p tcp -m tcp --sport %d ! %s", port, opening), accept, "S2: an answer to a probe"})
	}
	return append(rules, Rule{"", drop, "S2 P6: the node itself"})
}

// neighbours lets neighbour discovery pass; it carries nobody's data and without
// it there is no IPv6.
func (b builder) neighbours(pass string) []Rule {
	return []Rule{
		{b.family.icmp(neighbourSolicit), pass, "P5: neighbour discovery"},
		{b.family.icmp(neighbourAdvert), pass, "P5: neighbour discovery"},
	}
}

// ranges judges the other side's address, "-s" and "src" or "-d" and "dst".
func (b builder) ranges(flag, side, pass string) []Rule {
	var rules []Rule
	if b.family == IPv6 {
		rules = append(rules, Rule{match(flag, linkLocal()), drop, "P5: any neighbour, of whatever tenant"})
	}
	rules = append(rules, Rule{fmt.Sprintf("-m set --match-set bulkhead-peers-%d %s", b.family, side), pass, "P1 P8: a pod of the same tenant, at every packet"})
	if flag == "-d" {
		for _, node := range b.family.prefixes(b.config.Nodes) {
			rules = append(rules, Rule{match(flag, node), "-g " + toNode, "S2: node, only answers to probes"})
		}
	}
	for _, denied := range b.family.prefixes(b.config.Denied) {
		rules = append(rules, Rule{match(flag, denied), drop, "P1 P9: another tenant, by the address alone"})
	}
	if b.config.Egress.External == config.Allow {
		return append(rules, Rule{"", pass, "egress.external: allowed"})
	}
	for _, system := range b.family.prefixes(b.config.System) {
		rules = append(rules, Rule{match(flag, system), pass, "egress.external: the cluster itself"})
	}
	return append(rules, Rule{"", drop, "egress.external: denied"})
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
