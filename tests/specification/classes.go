package specification

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Classes yields a packet of every class that a case or the rules made of it can tell
// apart: each direction, on lo and on two other interfaces, between any
// two addresses that differ in one prefix, of each protocol, port, type and
// combination of flags that is named, and of one that is not.
func Classes(c Case, family rules.Family, set *Ruleset) iter.Seq[Packet] {
	addresses := addressClasses(family, prefixesOf(c, set))
	transports := transportClasses(numbersOf(c, set))
	return func(yield func(Packet) bool) {
		for _, way := range ways() {
			for _, source := range addresses {
				for _, destination := range addresses {
					for _, packet := range transports {
						packet.Direction, packet.From, packet.To = way.Direction, way.From, way.To
						packet.Source, packet.Destination = source, destination
						if !yield(packet) {
							return
						}
					}
				}
			}
		}
	}
}

// ways are the directions and interfaces. No rule of ours names another interface
// than lo: eth0 and net1 stand for any other.
func ways() []Packet {
	return []Packet{
		{Direction: In, From: "eth0"}, {Direction: Out, To: "eth0"}, {Direction: Forward, From: "eth0", To: "net1"},
		{Direction: In, From: "net1"}, {Direction: Out, To: "net1"},
		{Direction: In, From: "lo"}, {Direction: Out, To: "lo"},
	}
}

// addressClasses gives one address for each set of prefixes that hold it. Where a
// prefix begins or ends, another class may begin; nowhere else.
func addressClasses(family rules.Family, prefixes []netip.Prefix) []netip.Addr {
	begin := netip.IPv4Unspecified()
	if family == rules.IPv6 {
		begin = netip.IPv6Unspecified()
	}
	cuts := []netip.Addr{begin}
	for _, prefix := range prefixes {
		if prefix.Addr().Is4() != begin.Is4() {
			continue
		}
		cuts = append(cuts, prefix.Masked().Addr())
		if next := last(prefix).Next(); next.IsValid() {
			cuts = append(cuts, next)
		}
	}
	slices.SortFunc(cuts, netip.Addr.Compare)
	var classes []netip.Addr
	seen := map[string]bool{}
	for _, addr := range slices.Compact(cuts) {
		signature := make([]byte, len(prefixes))
		for i, prefix := range prefixes {
			if prefix.Contains(addr) {
				signature[i] = 1
			}
		}
		if !seen[string(signature)] {
			seen[string(signature)] = true
			classes = append(classes, addr)
		}
	}
	return classes
}

// last is a prefix's last address.
func last(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	addr, _ := netip.AddrFromSlice(bytes)
	return addr
}

// prefixesOf are all that may matter: those of the configuration, of the rules, and
// of the specification itself.
func prefixesOf(of Case, set *Ruleset) []netip.Prefix {
	c, pod := of.Config, of.Pod
	all := slices.Concat(c.Peers, c.Denied, c.Nodes, c.System, set.Prefixes, metadataServices())
	if live := of.Live; live != nil {
		all = slices.Concat(all, live.Cluster.Pods, live.Cluster.Services, live.Cluster.Nodes)
		for _, addr := range slices.Concat(live.Peers, live.Denied) {
			all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
		}
		for _, open := range live.Open {
			all = append(all, netip.PrefixFrom(open.Address, open.Address.BitLen()))
		}
	}
	for _, text := range []string{"127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "0.0.0.0/32",
		"::/128", "::1/128", "fe80::/10", "ff00::/8", "ff02::16/128", "ff02::1:ff00:0/104"} {
		all = append(all, netip.MustParsePrefix(text))
	}
	for _, addr := range slices.Concat(pod.Addresses, pod.Gateways) {
		all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
	}
	if c.Feed != nil {
		all = append(all, netip.PrefixFrom(c.Feed.Address.Addr(), c.Feed.Address.Addr().BitLen()))
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

// numbersOf are the protocols, ports and types that may matter.
func numbersOf(of Case, set *Ruleset) []int {
	c := of.Config
	all := slices.Concat(set.Numbers, []int{4789, 8472, 6081, 1, 2, 3, 4, 11, 41, 47, 130, 134, 135, 136, 137, 143})
	for _, port := range c.Probes {
		all = append(all, int(port))
	}
	if c.Feed != nil {
		all = append(all, int(c.Feed.Address.Port()))
	}
	if of.Live != nil {
		all = append(all, 53)
		for _, open := range of.Live.Open {
			all = append(all, int(open.Port))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// transportClasses are what may be inside. Another number than those named is 65535
// for ports and 255 for types and protocols.
func transportClasses(numbers []int) []Packet {
	ports, small := []uint16{65535}, []int{253}
	for _, number := range numbers {
		if number > 255 || number == 53 {
			ports = append(ports, uint16(number))
		}
		if number <= 255 {
			small = append(small, number)
		}
	}
	slices.Sort(small)
	small = slices.Compact(small)
	var all []Packet
	for _, source := range ports {
		for _, destination := range ports {
			if source != 65535 && destination != 65535 && source != destination {
				continue // no rule asks for both
			}
			for _, flags := range []byte{SYN, ACK, SYN | ACK, SYN | RST, SYN | FIN, 0} {
				all = append(all, Packet{Protocol: TCP, SourcePort: source, DestinationPort: destination, Flags: flags})
			}
			for _, protocol := range []int{UDP, SCTP} {
				all = append(all, Packet{Protocol: protocol, SourcePort: source, DestinationPort: destination})
			}
		}
	}
	for _, protocol := range []int{ICMP, ICMPv6} {
		for _, kind := range append(small, 255) {
			all = append(all, Packet{Protocol: protocol, Type: uint8(kind)})
		}
	}
	for _, protocol := range small {
		if !slices.Contains([]int{TCP, UDP, SCTP, ICMP, ICMPv6}, protocol) {
			all = append(all, Packet{Protocol: protocol})
		}
	}
	for _, protocol := range []int{TCP, UDP, SCTP, ICMP, ICMPv6} {
		all = append(all, Packet{Protocol: protocol, Fragment: true})
	}
	return all
}

// Difference looks through all classes for a packet of which rules and
// specification do not say the same, and tells of it; nothing if there is none. It
// also counts the packets.
func Difference(c Case, tables map[rules.Family]*Ruleset) (told string, packets int) {
	for _, family := range []rules.Family{rules.IPv4, rules.IPv6} {
		set := tables[family]
		if set == nil {
			continue
		}
		for packet := range Classes(c, family, set) {
			packets++
			want := Allowed(c, packet)
			if accepted := set.Accepts(packet); accepted != want {
				return fmt.Sprintf("%s\n  the specification allows it: %v, the rules: %v, by\n    %s",
					packet, want, accepted, strings.Join(set.Way(packet), "\n    ")), packets
			}
		}
	}
	return "", packets
}
