package specification

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Allowed is the specification:
//
//  1. On lo everything is free; loopback addresses are nowhere else.
//  2. A family in which the pod has no address of its tenant's is closed.
//  3. The pod sends from its own addresses only.
//  4. Neighbour discovery is free; a router is who the pod's routes name, and
//     nobody redirects.
//  5. Nothing encapsulated leaves; the feed is reached, and answers, wherever it is.
//  6. Metadata services are as egress.metadata says.
//  7. Nodes and gateways open connections to the probes' ports and report errors;
//     they are answered, and else reached as egress.nodes says.
//  8. Peers are free.
//  9. Other tenants are not, nor groups and link-local neighbours, who may be any
//     tenant's.
//  10. The rest is as egress.external says, but for the cluster's own.
//
// An earlier line counts more than a later one. What is forwarded must be allowed
// from its sender and to its receiver.
//
// With addressing by identity the feed tells who is who: peers are addresses of pods
// and Services, and no node's, gateway's or metadata service's; other tenants are the
// rest of the cluster and what is denied; nothing of the cluster is outside. IPv4's
// addresses of the link are the node's, which may answer DNS there. And:
//
//  11. Before it has told anything, and in a family in which the pod has no address
//     among pods, there are no peers, no nodes but gateways, which only probe, and
//     nothing outside.
//  12. When it has been gone for a lease, Services stay peers, and what is established
//     with the others; or, if so configured, nobody, and nothing is outside.
//  13. A public port of the pod's is reached by anybody, and answers anybody but
//     groups. It counts before line 6.
func Allowed(c Case, p Packet) bool {
	w := world{c.Config, c.Pod, c.Live}
	switch {
	case p.From == "lo" || p.To == "lo":
		return true // 1
	case loopback(p.Source) && p.Direction != Out, loopback(p.Destination):
		return false // 1
	case !w.member(p.Family()):
		return false // 2
	case p.Direction == Out && w.announces(p):
		return true // 3, 4
	case p.Direction == Out && !slices.Contains(w.pod.Addresses, p.Source):
		return false // 3
	case p.Direction == In:
		return w.from(p)
	case p.Direction == Out:
		return w.to(p)
	}
	return w.from(p) && w.to(p)
}

// world is what the lines are about.
type world struct {
	config *config.Config
	pod    rules.Pod
	live   *rules.Live
}

// from says whether a packet may come from its source (lines 4 and 6 to 10).
func (w world) from(p Packet) bool {
	c := w.config
	switch {
	case p.is(ICMPv6, 135, 136):
		return true // 4
	case p.is(ICMPv6, 134):
		return p.Source.IsLinkLocalUnicast() && slices.Contains(w.pod.Gateways, p.Source) // 4
	case p.is(ICMPv6, 137):
		return false // 4
	case p.is(ICMPv6, 130) && p.Source.IsLinkLocalUnicast():
		return true // 4
	case p.Direction == In && p.answers() && w.feed(p.Source, p.SourcePort):
		return true // 5
	case p.Direction == In && w.public(p.Protocol, p.Destination, p.DestinationPort) && !p.Fragment:
		return true // 13
	case metadata(p.Source):
		return c.Egress.Metadata == config.Allow && w.outside(p.Source) // 6
	case w.node(p.Source):
		return w.probe(p, p.DestinationPort) || p.reports() || c.Egress.Nodes == config.Allow && w.knows(p.Family()) && p.answers() ||
			w.resolver(p.Source) && p.SourcePort == 53 && (p.is(UDP) || p.answers()) // 7
	}
	return w.beyond(p, p.Source)
}

// to says whether a packet may go to its destination (lines 4 to 10).
func (w world) to(p Packet) bool {
	c := w.config
	switch {
	case p.is(ICMPv6, 135, 136):
		return true // 4
	case p.encapsulated():
		return false // 5
	case p.Protocol == TCP && !p.Fragment && w.feed(p.Destination, p.DestinationPort):
		return true // 5
	case w.public(p.Protocol, p.Source, p.SourcePort) && !p.Fragment && !p.opens() && !group(p.Destination):
		return true // 13
	case metadata(p.Destination):
		return c.Egress.Metadata == config.Allow && w.outside(p.Destination) // 6
	case w.node(p.Destination):
		return c.Egress.Nodes == config.Allow && w.knows(p.Family()) || p.answers() && w.probe(p, p.SourcePort) ||
			w.resolver(p.Destination) && p.DestinationPort == 53 && (p.is(UDP) || p.is(TCP)) // 7
	case group(p.Destination):
		return false // 9
	}
	return w.beyond(p, p.Destination)
}

// beyond is what holds for both directions (lines 8 to 12).
func (w world) beyond(p Packet, other netip.Addr) bool {
	c := w.config
	switch {
	case w.peer(p, other):
		return true // 8, 12
	case c.Addressing == config.Identity && !w.outside(other):
		return false // 9, 11
	case holds(c.Denied, other) || other.Is6() && other.IsLinkLocalUnicast():
		return false // 9
	}
	return c.Egress.External == config.Allow || holds(c.System, other) // 10
}

// peer is who lines 8 and 12 speak of.
func (w world) peer(p Packet, other netip.Addr) bool {
	if w.config.Addressing == config.CIDR {
		return holds(w.config.Peers, other)
	}
	if !w.knows(p.Family()) || !slices.Contains(w.live.Peers, other) ||
		metadata(other) || w.node(other) || loopback(other) || group(other) || other.Is6() && other.IsLinkLocalUnicast() {
		return false
	}
	pod, service := holds(w.live.Cluster.Pods, other), holds(w.live.Cluster.Services, other)
	if w.live.Lapsed {
		return w.config.WhenFeedGone == config.Keep && (service && !pod || pod && p.answers())
	}
	return pod || service
}

// outside says whether an address is known to be outside the cluster, and not denied.
// The ranges of a configuration are always known, and judged elsewhere.
func (w world) outside(addr netip.Addr) bool {
	if w.config.Addressing == config.CIDR {
		return true
	}
	family := Packet{Source: addr}.Family()
	if w.live != nil && w.live.Lapsed && w.config.WhenFeedGone == config.Close {
		return false // 12
	}
	return w.knows(family) && !slices.Contains(w.live.Denied, addr) && !holds(w.live.Cluster.Pods, addr) &&
		!holds(w.live.Cluster.Services, addr) && !holds(w.live.Cluster.Nodes, addr)
}

// knows is line 11.
func (w world) knows(family rules.Family) bool {
	return w.config.Addressing == config.CIDR || w.live != nil && w.has(family, w.live.Cluster.Pods)
}

// member is line 2: of the tenant's ranges, or of any, where there are none.
func (w world) member(family rules.Family) bool {
	if w.config.Addressing == config.Identity {
		return w.has(family, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")})
	}
	return w.has(family, w.config.Peers)
}

// has says whether the pod has an address in the ranges that is not of the link alone.
func (w world) has(family rules.Family, ranges []netip.Prefix) bool {
	return slices.ContainsFunc(w.pod.Addresses, func(addr netip.Addr) bool {
		return addr.Is4() == (family == rules.IPv4) && !addr.IsLinkLocalUnicast() && holds(ranges, addr)
	})
}

// public says whether a port is a public one of this pod.
func (w world) public(number int, addr netip.Addr, port uint16) bool {
	name := map[int]string{TCP: "tcp", UDP: "udp", SCTP: "sctp"}[number]
	return w.config.Addressing == config.Identity && w.knows(Packet{Source: addr}.Family()) &&
		slices.Contains(w.pod.Addresses, addr) && slices.Contains(w.live.Open, protocol.Open{Address: addr, Protocol: name, Port: port})
}

// announces is what IPv6 says before it has an address, or about whom it listens to
// (RFC 4862, 5.4; RFC 9777).
func (w world) announces(p Packet) bool {
	solicited := netip.MustParsePrefix("ff02::1:ff00:0/104")
	return p.is(ICMPv6, 135) && p.Source.IsUnspecified() && solicited.Contains(p.Destination) ||
		p.is(ICMPv6, 143) && p.Destination == netip.MustParseAddr("ff02::16")
}

func (w world) feed(addr netip.Addr, port uint16) bool {
	return w.config.Feed != nil && w.config.Feed.Address == netip.AddrPortFrom(addr, port)
}

func (w world) node(addr netip.Addr) bool {
	family := Packet{Source: addr}.Family()
	return holds(w.config.Nodes, addr) || slices.Contains(w.pod.Gateways, addr) ||
		w.config.Addressing == config.Identity && w.knows(family) && (holds(w.live.Cluster.Nodes, addr) || w.resolver(addr))
}

// resolver says whether an address is the node's on the link.
func (w world) resolver(addr netip.Addr) bool {
	return w.config.Addressing == config.Identity && addr.Is4() && w.knows(rules.IPv4) && addr.IsLinkLocalUnicast()
}

// probe says whether a packet belongs to a probe, the port given being the pod's.
func (w world) probe(p Packet, port uint16) bool {
	return p.Protocol == TCP && !p.Fragment && slices.Contains(w.config.Probes, config.Port(port))
}

// answers says whether a packet belongs to a TCP connection that it does not open.
func (p Packet) answers() bool {
	return p.Protocol == TCP && !p.Fragment && p.Flags&(FIN|SYN|RST|ACK) != SYN
}

// opens says whether it opens a TCP connection.
func (p Packet) opens() bool { return p.Protocol == TCP && !p.answers() }

// reports says whether it is a router's report of an error: unreachable, too big,
// time exceeded (RFC 792, RFC 4443).
func (p Packet) reports() bool {
	return p.Source.Is4() && p.is(ICMP, 3, 11) || p.Source.Is6() && p.is(ICMPv6, 1, 2, 3)
}

// encapsulated says whether a node would unpack it: VXLAN, Geneve, IPIP, 6in4, GRE.
func (p Packet) encapsulated() bool {
	switch p.Protocol {
	case UDP:
		return !p.Fragment && slices.Contains([]uint16{4789, 8472, 6081}, p.DestinationPort)
	case 4, 41, 47:
		return true
	}
	return false
}

// is says whether it is an ICMP packet of one of the types, or the first of another
// protocol.
func (p Packet) is(protocol int, types ...uint8) bool {
	if protocol == TCP || protocol == UDP {
		return p.Protocol == protocol && !p.Fragment
	}
	return p.Protocol == protocol && !p.Fragment && p.Source.Is6() == (protocol == ICMPv6) && slices.Contains(types, p.Type)
}

func loopback(addr netip.Addr) bool { return addr.IsLoopback() }

func metadata(addr netip.Addr) bool { return holds(metadataServices(), addr) }

// metadataServices are where clouds hand out credentials (THREATS.md P13, and the
// same of AWS' tasks and pods, Azure, Alibaba Cloud, Google Cloud's IPv6).
func metadataServices() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{"169.254.169.254/32", "169.254.170.0/24", "168.63.129.16/32", "100.100.100.200/32",
		"fd00:ec2::254/128", "fd00:ec2::23/128", "fd20:ce::254/128"} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// group says whether an address reaches more than one.
func group(addr netip.Addr) bool {
	return addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

func holds(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}
