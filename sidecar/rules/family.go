package rules

import (
	"fmt"
	"net/netip"
	"slices"
)

// Family is an IP family.
type Family int

// The families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

func (f Family) String() string { return fmt.Sprintf("IPv%d", int(f)) }

// Inet is the family's name in ipset.
func (f Family) Inet() string {
	if f == IPv6 {
		return "inet6"
	}
	return "inet"
}

// has says whether an address is of the family.
func (f Family) has(addr netip.Addr) bool { return addr.Is6() == (f == IPv6) }

// addresses keeps the family's own, in order and each once, so that the same
// pod always has the same plan.
func (f Family) addresses(all []netip.Addr) []netip.Addr {
	var own []netip.Addr
	for _, addr := range all {
		if f.has(addr) {
			own = append(own, addr)
		}
	}
	slices.SortFunc(own, netip.Addr.Compare)
	return slices.Compact(own)
}

// ascending are the family's own of addresses in ascending order; IPv4 comes first.
func (f Family) ascending(all []netip.Addr) []netip.Addr {
	first, _ := slices.BinarySearchFunc(all, IPv6, func(addr netip.Addr, _ Family) int {
		if addr.Is6() {
			return 1
		}
		return -1
	})
	if f == IPv6 {
		return all[first:]
	}
	return all[:first]
}

// prefixes keeps the family's own.
func (f Family) prefixes(all []netip.Prefix) []netip.Prefix {
	var own []netip.Prefix
	for _, prefix := range all {
		if f.has(prefix.Addr()) {
			own = append(own, prefix)
		}
	}
	return own
}

// halves are all addresses, as a set takes them.
func (f Family) halves() []netip.Prefix {
	if f == IPv6 {
		return []netip.Prefix{netip.MustParsePrefix("::/1"), netip.MustParsePrefix("8000::/1")}
	}
	return []netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}
}

// loopback is the range that belongs on lo and nowhere else.
func (f Family) loopback() netip.Prefix {
	if f == IPv6 {
		return netip.MustParsePrefix("::1/128")
	}
	return netip.MustParsePrefix("127.0.0.0/8")
}

// metadata are the addresses of the clouds' metadata services (P13): what most
// clouds use, the credentials of tasks and pods on AWS (169.254.170.2 and .23,
// fd00:ec2::23), Azure's WireServer, Alibaba Cloud, Google Cloud's IPv6.
func (f Family) metadata() []netip.Prefix {
	if f == IPv6 {
		return []netip.Prefix{
			netip.MustParsePrefix("fd00:ec2::254/128"),
			netip.MustParsePrefix("fd00:ec2::23/128"),
			netip.MustParsePrefix("fd20:ce::254/128"),
		}
	}
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.169.254/32"),
		netip.MustParsePrefix("169.254.170.0/24"),
		netip.MustParsePrefix("168.63.129.16/32"),
		netip.MustParsePrefix("100.100.100.200/32"),
	}
}

// neighbours are IPv4's addresses of the link. In a pod nobody answers there but its own
// node, at any port that it listens on, NodePorts too. IPv6's have a rule of their own.
func (f Family) neighbours() []netip.Prefix {
	if f == IPv6 {
		return nil
	}
	return []netip.Prefix{netip.MustParsePrefix("169.254.0.0/16")}
}

// groups are the addresses that reach more than one neighbour.
func (f Family) groups() []netip.Prefix {
	if f == IPv6 {
		return []netip.Prefix{netip.MustParsePrefix("ff00::/8")}
	}
	return []netip.Prefix{
		netip.MustParsePrefix("224.0.0.0/4"),
		netip.MustParsePrefix("255.255.255.255/32"),
	}
}

// icmp matches one type of the family's ICMP.
func (f Family) icmp(kind int) string {
	if f == IPv6 {
		return fmt.Sprintf("-p ipv6-icmp -m icmp6 --icmpv6-type %d", kind)
	}
	return fmt.Sprintf("-p icmp -m icmp --icmp-type %d", kind)
}

// errors are the ICMP types by which a router says that a packet of the pod's
// did not arrive: unreachable (with the path's MTU), too big, time exceeded.
func (f Family) errors() []int {
	if f == IPv6 {
		return []int{1, 2, 3} // RFC 4443
	}
	return []int{3, 11} // RFC 792; RFC 1191 for the MTU
}

func linkLocal() netip.Prefix { return netip.MustParsePrefix("fe80::/10") }
