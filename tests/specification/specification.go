package specification

import (
	"net/netip"
	"slices"

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
func Allowed(c *config.Config, pod rules.Pod, p Packet) bool {
	w := world{c, pod}
	switch {
	case p.From == "lo" || p.To == "lo":
		return true // 1
	case loopback(p.Source) && p.Direction != Out, loopback(p.Destination):
		return false // 1
	case !w.member(p.Family()):
		return false // 2
	case p.Direction == Out && w.announces(p):
		return true // 3, 4
	case p.Direction == Out && !slices.Contains(pod.Addresses, p.Source):
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
	case metadata(p.Source):
		return c.Egress.Metadata == config.Allow // 6
	case w.node(p.Source):
		return w.probe(p, p.DestinationPort) || p.reports() || c.Egress.Nodes == config.Allow && p.answers() // 7
	}
	return w.beyond(p.Source)
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
	case metadata(p.Destination):
		return c.Egress.Metadata == config.Allow // 6
	case w.node(p.Destination):
		return c.Egress.Nodes == config.Allow || p.answers() && w.probe(p, p.SourcePort) // 7
	case group(p.Destination):
		return false // 9
	}
	return w.beyond(p.Destination)
}

// beyond is what holds for both directions (lines 8 to 10).
func (w world) beyond(other netip.Addr) bool {
	c := w.config
	switch {
	case holds(c.Peers, other):
		return true // 8
	case holds(c.Denied, other) || other.Is6() && other.IsLinkLocalUnicast():
		return false // 9
	}
	return c.Egress.External == config.Allow || holds(c.System, other) // 10
}

// member is line 2.
func (w world) member(family rules.Family) bool {
	return slices.ContainsFunc(w.pod.Addresses, func(addr netip.Addr) bool {
		return addr.Is4() == (family == rules.IPv4) && !addr.IsLinkLocalUnicast() && holds(w.config.Peers, addr)
	})
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
	return holds(w.config.Nodes, addr) || slices.Contains(w.pod.Gateways, addr)
}

// probe says whether a packet belongs to a probe, the port given being the pod's.
func (w world) probe(p Packet, port uint16) bool {
	return p.Protocol == TCP && !p.Fragment && slices.Contains(w.config.Probes, config.Port(port))
}

// answers says whether a packet belongs to a TCP connection that it does not open.
func (p Packet) answers() bool {
	return p.Protocol == TCP && !p.Fragment && p.Flags&(FIN|SYN|RST|ACK) != SYN
}

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

// is says whether it is an ICMP packet of one of the types.
func (p Packet) is(protocol int, types ...uint8) bool {
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
