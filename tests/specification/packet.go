package specification

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Direction is the built-in chain that a packet meets.
type Direction string

// The directions.
const (
	In      Direction = "INPUT"
	Out     Direction = "OUTPUT"
	Forward Direction = "FORWARD"
)

// The protocols that rules tell apart by more than their number.
const (
	ICMP   = 1
	TCP    = 6
	UDP    = 17
	ICMPv6 = 58
	SCTP   = 132
)

// Flags of TCP (RFC 9293, 3.1).
const (
	FIN byte = 1 << iota
	SYN
	RST
	_
	ACK
)

// Packet is what a rule can see of a packet.
type Packet struct {
	Direction Direction
	// From and To are the interfaces; the pod's own end has none.
	From, To            string
	Source, Destination netip.Addr
	Protocol            int
	// Fragment says that this is not the first fragment: nothing below can be
	// seen of it.
	Fragment bool
	// SourcePort and DestinationPort are those of TCP, UDP and SCTP.
	SourcePort, DestinationPort uint16
	// Flags are TCP's.
	Flags byte
	// Type is that of ICMP or ICMPv6.
	Type uint8
}

// Family is the packet's IP family.
func (p Packet) Family() rules.Family {
	if p.Source.Is4() {
		return rules.IPv4
	}
	return rules.IPv6
}

func (p Packet) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", p.Direction)
	if p.From != "" {
		fmt.Fprintf(&b, " from %s", p.From)
	}
	if p.To != "" {
		fmt.Fprintf(&b, " to %s", p.To)
	}
	fmt.Fprintf(&b, ": %s > %s protocol %d", p.Source, p.Destination, p.Protocol)
	switch {
	case p.Fragment:
		b.WriteString(" later fragment")
	case p.Protocol == TCP:
		fmt.Fprintf(&b, " ports %d > %d flags %#02x", p.SourcePort, p.DestinationPort, p.Flags)
	case p.Protocol == UDP || p.Protocol == SCTP:
		fmt.Fprintf(&b, " ports %d > %d", p.SourcePort, p.DestinationPort)
	case p.Protocol == ICMP || p.Protocol == ICMPv6:
		fmt.Fprintf(&b, " type %d", p.Type)
	}
	return b.String()
}
