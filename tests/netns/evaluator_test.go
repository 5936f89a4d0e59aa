//go:build linux

package netns

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
	network "github.com/bulkhead-dev/bulkhead/tests/namespace"
	"github.com/bulkhead-dev/bulkhead/tests/specification"
	"github.com/bulkhead-dev/bulkhead/verify/packet"
)

// TestEvaluatorIsTheKernel proves the evaluator with which the rules are held against
// the specification: a sample of the very same classes of packets goes through the
// real rules. Chains of nftables before and behind iptables' note the number that
// each packet carries: what is noted before and not behind was dropped by the rules.
// What the kernel itself refuses to send or receive is never noted and proves
// nothing; enough must be left.
func TestEvaluatorIsTheKernel(t *testing.T) {
	needs(t, "nft")
	for _, family := range []rules.Family{rules.IPv4, rules.IPv6} {
		for _, direction := range []specification.Direction{specification.In, specification.Out, specification.Forward} {
			t.Run(fmt.Sprintf("%s %s", family, direction), func(t *testing.T) {
				t.Parallel()
				proveEvaluator(t, family, direction, false)
			})
			t.Run(fmt.Sprintf("%s %s by identity", family, direction), func(t *testing.T) {
				t.Parallel()
				proveEvaluator(t, family, direction, true)
			})
		}
	}
}

// enough is how many packets must have met the rules, and samples how many are sent
// of those that pass and of those that do not.
const (
	samples = 2000
	enough  = 500
)

func proveEvaluator(t *testing.T, family rules.Family, direction specification.Direction, identity bool) {
	l := newLab(t)
	p := l.alice1
	wire(t, p.namespace, "net1", newNamespace(t, "beyond"), "eth0")
	p.sh(t, "ip addr add 192.168.5.9/24 dev net1; ip -6 addr add 2001:db8:5::9/64 dev net1 nodad")
	of := specification.Case{Config: alice()}
	if identity {
		of.Config, of.Live = l.identity(), l.told(l.alice2)
		of.Live.Open, of.Live.Lapsed = l.public(), direction == specification.Forward
		if direction == specification.Out {
			of.Config.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Allow}
		}
	}
	var plan rules.Plan
	if err := p.ensurePlan(t, apply.NFTables, &failing{}, func(facts rules.Pod) (rules.Plan, error) {
		facts.Log = true
		of.Pod = facts
		var err error
		plan, err = rules.Build(of.Config, facts, of.Live)
		return plan, err
	}); err != nil {
		t.Fatal(err)
	}
	tables, err := specification.Parse(plan.String())
	if err != nil {
		t.Fatal(err)
	}
	packets := sampleOf(tables[family], of, family, direction)
	notes(t, p, family, direction)
	routes(t, p, family, direction)
	send := p.injector(t, l, family, direction)
	for i, packet := range packets {
		send(packet, i+1)
	}
	time.Sleep(silence)
	before, behind := noted(t, p, "before"), noted(t, p, "behind")
	met, accepted := 0, 0
	for i, packet := range packets {
		if !before[i+1] {
			continue
		}
		met++
		want := tables[family].Accepts(packet)
		if want {
			accepted++
		}
		if behind[i+1] != want {
			t.Errorf("%s\n  the evaluator accepts it: %v, the kernel: %v, by\n    %s", packet, want, behind[i+1], strings.Join(tables[family].Way(packet), "\n    "))
		}
	}
	t.Logf("%d of %d packets met the rules, %d were accepted", met, len(packets), accepted)
	if met < enough || accepted < enough/10 || met-accepted < enough/10 {
		t.Errorf("too few to prove anything")
	}
}

// sampleOf takes as many accepted as dropped packets from the classes of a case, by
// chance.
func sampleOf(table *specification.Ruleset, of specification.Case, family rules.Family, direction specification.Direction) []specification.Packet {
	chosen := map[bool][]specification.Packet{}
	seen := map[bool]int{}
	for packet := range specification.Classes(of, family, table) {
		if packet.Direction != direction || packet.From == "lo" || packet.To == "lo" || packet.From == "net1" || packet.To == "net1" && direction == specification.Out {
			continue
		}
		if packet.Fragment && direction == specification.In {
			continue // put together before the rules see them
		}
		if packet.Fragment && packet.Protocol == specification.TCP {
			// Measured on Linux 6.18: nftables asks for TCP's flags in later fragments
			// too, and takes what stands in their place. First fragments are judged as
			// specified, and without one nobody can put the others together.
			continue
		}
		if direction == specification.Out && (packet.Source == netip.IPv4Unspecified() || packet.Destination == netip.IPv4Unspecified()) {
			continue // the kernel fills in an address of the pod's, or takes it for the pod itself
		}
		accepted := table.Accepts(packet)
		seen[accepted]++
		if len(chosen[accepted]) < samples {
			chosen[accepted] = append(chosen[accepted], packet)
		} else if slot := rand.IntN(seen[accepted]); slot < samples {
			chosen[accepted][slot] = packet
		}
	}
	return slices.Concat(chosen[true], chosen[false])
}

// injected is the class of service (DSCP) of the packets that bear a number: what the
// kernel says by itself, such as to multicast routers, has identifications too.
const injected = 11

// notes sets the chains before and behind: packets carry their number as IPv4's
// identification or IPv6's flow label.
func notes(t *testing.T, p *pod, family rules.Family, direction specification.Direction) {
	number, table := "ip id", "ip"
	if family == rules.IPv6 {
		number, table = "ip6 flowlabel", "ip6"
	}
	// Not what the pod answers itself over lo, with numbers of its own.
	hook, only := strings.ToLower(string(direction)), "iifname eth0"
	if direction == specification.Out {
		only = "oifname eth0" // to itself the pod sends over lo, whatever the socket is bound to
	}
	script := "nft add table " + table + " notes\n"
	for name, priority := range map[string]int{"before": -200, "behind": 200} {
		script += fmt.Sprintf(`nft 'add set %[1]s notes %[2]s { typeof %[3]s; size 65535; flags dynamic; }'
			nft 'add chain %[1]s notes %[2]s { type filter hook %[4]s priority %[5]d; }'
			nft 'add rule %[1]s notes %[2]s %[6]s %[1]s dscp %[7]d add @%[2]s { %[3]s }'
			`, table, name, number, hook, priority, only, injected)
	}
	p.sh(t, script)
}

// noted are the numbers in a set.
func noted(t *testing.T, p *pod, name string) map[int]bool {
	t.Helper()
	var listing struct {
		Nftables []struct {
			Set *struct {
				Name string
				Elem []json.RawMessage
			}
		}
	}
	if err := json.Unmarshal([]byte(p.sh(t, "nft -j list sets")), &listing); err != nil {
		t.Fatal(err)
	}
	numbers := map[int]bool{}
	for _, object := range listing.Nftables {
		if object.Set == nil || object.Set.Name != name {
			continue
		}
		for _, element := range object.Set.Elem {
			var number int
			if err := json.Unmarshal(element, &number); err != nil {
				t.Fatalf("element %s: %v", element, err)
			}
			numbers[number] = true
		}
	}
	return numbers
}

// routes makes every destination local, or on the link, or behind net1, so that the
// kernel itself refuses as little as it can.
func routes(t *testing.T, p *pod, family rules.Family, direction specification.Direction) {
	p.must(t, func() error {
		return network.Sysctl("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1",
			"net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/eth0/rp_filter=0",
			"net/ipv4/conf/all/accept_local=1", "net/ipv4/conf/eth0/accept_local=1",
			"net/ipv4/conf/all/route_localnet=1", "net/ipv4/conf/eth0/route_localnet=1", "net/ipv4/conf/net1/route_localnet=1")
	})
	ip, everywhere := "ip", "0.0.0.0/0"
	if family == rules.IPv6 {
		ip, everywhere = "ip -6", "::/0"
	}
	route := map[specification.Direction]string{
		specification.In:      "local " + everywhere + " dev lo",
		specification.Out:     everywhere + " dev eth0",
		specification.Forward: everywhere + " dev net1",
	}[direction]
	incoming := "iif eth0 "
	if direction == specification.Out {
		incoming = ""
	}
	// Nobody answers for all those addresses, and who waits for answers sends nothing.
	p.sh(t, fmt.Sprintf("ip link set eth0 arp off; ip link set net1 arp off; %[1]s route add %[2]s table 77; %[1]s rule add %[3]slookup 77 pref 0", ip, route, incoming))
}

// injector puts packets on the wire to the pod, or has the pod send them.
func (p *pod) injector(t *testing.T, l *lab, family rules.Family, direction specification.Direction) func(specification.Packet, int) {
	if direction == specification.Out {
		domain := unix.AF_INET
		if family == rules.IPv6 {
			domain = unix.AF_INET6
		}
		var fd int
		p.must(t, func() (err error) {
			if fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
				return err
			}
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
			return unix.BindToDevice(fd, "eth0")
		})
		t.Cleanup(func() { _ = unix.Close(fd) })
		return func(packet specification.Packet, number int) {
			to := packet.Destination
			if to.Is6() && (to.IsLinkLocalUnicast() || to.IsMulticast()) {
				to = to.WithZone("eth0")
			}
			var address unix.Sockaddr
			p.must(t, func() error { address = sockaddr(netip.AddrPortFrom(to, 0)); return nil })
			_ = unix.Sendto(fd, wireFormat(packet, number), unix.MSG_DONTWAIT, address) // what the rules drop is an error too
		}
	}
	var fd int
	to := &unix.SockaddrLinklayer{Halen: 6}
	copy(to.Addr[:], p.mac)
	protocol := []byte{0x08, 0x00}
	if family == rules.IPv6 {
		protocol = []byte{0x86, 0xdd}
	}
	to.Protocol = binary.NativeEndian.Uint16(protocol)
	l.node.must(t, func() error {
		port, err := net.InterfaceByName("p-alice1")
		if err != nil {
			return err
		}
		to.Ifindex = port.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { _ = unix.Close(fd) })
	return func(packet specification.Packet, number int) {
		if err := unix.Sendto(fd, wireFormat(packet, number), 0, to); err != nil {
			t.Fatalf("send %s: %v", packet, err)
		}
	}
}

// wireFormat is the packet as it goes over the wire, with its number.
func wireFormat(p specification.Packet, number int) []byte {
	var body []byte
	switch p.Protocol {
	case specification.TCP:
		body = make([]byte, 20)
		body[12], body[13] = 5<<4, p.Flags
	case specification.UDP:
		body = make([]byte, 16)
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	case specification.ICMP, specification.ICMPv6:
		body = make([]byte, 40)
		body[0] = p.Type
	default:
		body = make([]byte, 16)
	}
	if slices.Contains([]int{specification.TCP, specification.UDP, specification.SCTP}, p.Protocol) {
		binary.BigEndian.PutUint16(body, p.SourcePort)
		binary.BigEndian.PutUint16(body[2:], p.DestinationPort)
	}
	if p.Source.Is6() {
		header := make([]byte, 40)
		binary.BigEndian.PutUint32(header, 6<<28|injected<<22|uint32(number))
		header[6], header[7] = byte(p.Protocol), 255
		source, destination := p.Source.As16(), p.Destination.As16()
		copy(header[8:], source[:])
		copy(header[24:], destination[:])
		if p.Fragment {
			fragment := make([]byte, 8)
			fragment[0] = header[6]
			binary.BigEndian.PutUint16(fragment[2:], 64<<3|1)
			header[6] = unix.IPPROTO_FRAGMENT
			body = append(fragment, body...)
		}
		binary.BigEndian.PutUint16(header[4:], uint16(len(body)))
		return append(header, body...)
	}
	header := make([]byte, 20)
	header[0], header[1] = 0x45, injected<<2
	binary.BigEndian.PutUint16(header[2:], uint16(20+len(body)))
	binary.BigEndian.PutUint16(header[4:], uint16(number))
	if p.Fragment {
		binary.BigEndian.PutUint16(header[6:], 64|1<<13) // more fragments, at 512
	}
	header[8], header[9] = 64, byte(p.Protocol)
	source, destination := p.Source.As4(), p.Destination.As4()
	copy(header[12:], source[:])
	copy(header[16:], destination[:])
	binary.BigEndian.PutUint16(header[10:], packet.Checksum(header))
	return append(header, body...)
}
