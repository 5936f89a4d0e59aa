//go:build linux

package netns

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	network "github.com/bulkhead-dev/bulkhead/tests/namespace"
	"github.com/bulkhead-dev/bulkhead/verify/packet"
)

// servicePort is a port of alice1 that no probe names.
const servicePort = 9090

func (p *pod) hasIPv6(t testing.TB) bool {
	return strings.Contains(p.sh(t, "ip -6 addr show dev eth0 scope global"), p.ipv6.String())
}

func reachesIPv4(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv4, expected)
}

func reachesTCP(t testing.TB, l *lab, expected bool) bool {
	return tcp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv4, servicePort, expected)
}

func reachesLinkLocal(t testing.TB, l *lab, expected bool) bool {
	return reached(t, l.alice1.namespace, listenUDP(netip.IPv6Unspecified(), 7000),
		sendUDP(l.bob.namespace, netip.AddrPortFrom(l.alice1.linkLocal.WithZone("eth0"), 7000)), expected)
}

// forged sends from bob as if from alice2 (P3).
func forged(l *lab, to *pod) func([]byte) error {
	return func(payload []byte) error {
		whole := packet.IPv4UDP(netip.AddrPortFrom(l.alice2.ipv4, 7000), netip.AddrPortFrom(to.ipv4, 7000), payload)
		return sendRaw(l.bob.namespace, to.ipv4, unix.IPPROTO_RAW, nil)(whole)
	}
}

// freebind sends from bob with alice2's address, which IPV6_FREEBIND lets anybody
// bind to: the thread gives up every capability first (P4).
func freebind(l *lab, to *pod) func([]byte) error {
	return sendSocket(l.bob.namespace, unix.AF_INET6, unix.SOCK_DGRAM, 0, netip.AddrPortFrom(to.ipv6, 7000), nil,
		func(int) error {
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var none [2]unix.CapUserData
			return unix.Capset(&header, &none[0])
		},
		func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1) },
		func(fd int) error { return unix.Bind(fd, sockaddr(netip.AddrPortFrom(l.alice2.ipv6, 0))) })
}

// advertised makes bob a router and says whether alice1 believes it (P5).
func advertised(t testing.TB, l *lab, expected bool) bool {
	t.Helper()
	advertisement := []byte{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0} // RFC 4861, 4.2
	send := sendSocket(l.bob.namespace, unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6,
		netip.AddrPortFrom(netip.MustParseAddr("ff02::1%eth0"), 0), advertisement,
		func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255) })
	wait := silence
	if expected {
		wait = patience
	}
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := send(nil); err != nil && !soft(err) {
			t.Fatal(err)
		}
		if strings.Contains(l.alice1.sh(t, "ip -6 route show default"), "via "+l.bob.linkLocal.String()) {
			l.alice1.sh(t, "ip -6 route del default via "+l.bob.linkLocal.String()+" dev eth0")
			return true
		}
	}
	return false
}

// vxlan makes the node unpack VXLAN into the pods' link, as overlay CNIs do, and
// gives it one more address, as the bridge of another node has in a tenant's range.
func vxlan(t testing.TB, l *lab) {
	l.node.sh(t, "ip link add vx0 type vxlan id 42 dstport 4789 nolearning; ip link set vx0 master br0 up; ip addr add 172.16.2.129/32 dev br0")
}

// translated is vxlan behind a Service, as kube-proxy makes it of Endpoints of bob's own
// that name the gateway.
func translated(t testing.TB, l *lab) {
	vxlan(t, l)
	l.node.sh(t, "iptables -t nat -A PREROUTING -d 10.96.0.9 -p udp --dport 53 -j DNAT --to-destination 172.16.2.1:4789")
}

// encapsulated has the node unpack a datagram from alice2 that bob wrote (P6).
func encapsulated(node string) func(testing.TB, *lab, bool) bool {
	return encapsulatedTo(netip.AddrPortFrom(netip.MustParseAddr(node), 4789))
}

func encapsulatedTo(to netip.AddrPort) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		return reached(t, l.alice1.namespace, listenUDP(netip.IPv4Unspecified(), 7000), func(payload []byte) error {
			frame := slices.Concat(
				[]byte{0x08, 0, 0, 0, 0, 0, 42, 0}, // RFC 7348
				l.alice1.mac, l.alice2.mac, []byte{0x08, 0x00},
				packet.IPv4UDP(netip.AddrPortFrom(l.alice2.ipv4, 7000), netip.AddrPortFrom(l.alice1.ipv4, 7000), payload))
			return sendUDP(l.bob.namespace, to)(frame)
		}, expected)
	}
}

// encapsulation sends a datagram to a port at which nodes unpack; that it reaches the
// node is enough (P6).
func encapsulation(port uint16, node string) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		addr := netip.MustParseAddr(node)
		return reached(t, l.node, listenUDP(unspecified(addr), port), sendUDP(l.bob.namespace, netip.AddrPortFrom(addr, port)), expected)
	}
}

// tunnelled sends another encapsulation to where no list names a node (P6).
func tunnelled(protocol int) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		return reached(t, l.node, listenRaw(unix.AF_INET, protocol),
			sendRaw(l.bob.namespace, netip.MustParseAddr("172.16.2.129"), protocol, nil), expected)
	}
}

// localnet lets alice1 take 127/8 from its link (P7, CVE-2020-8558).
func localnet(t testing.TB, l *lab) {
	l.alice1.must(t, func() error {
		return network.Sysctl("net/ipv4/conf/all/route_localnet=1", "net/ipv4/conf/eth0/route_localnet=1", "net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/eth0/rp_filter=0",
			"net/ipv4/conf/all/accept_local=1", "net/ipv4/conf/eth0/accept_local=1")
	})
}

// martian sends to alice1 over the link what no route would bring there.
func martian(t testing.TB, l *lab, from, destination netip.Addr, expected bool) bool {
	t.Helper()
	return reached(t, l.alice1.namespace, listenUDP(destination, 7000), func(payload []byte) error {
		return l.bob.Do(func() error {
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			to := &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16([]byte{0x08, 0x00}), Ifindex: eth0.Index, Halen: 6}
			copy(to.Addr[:], l.alice1.mac)
			return unix.Sendto(fd, packet.IPv4UDP(netip.AddrPortFrom(from, 7000), netip.AddrPortFrom(destination, 7000), payload), 0, to)
		})
	}, expected)
}

// protocol sends an IP protocol of any number, behind a header.
func protocol(number int, header ...byte) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		return reached(t, l.alice1.namespace, listenRaw(unix.AF_INET, number),
			sendRaw(l.bob.namespace, l.alice1.ipv4, number, header), expected)
	}
}

func protocolIPv6(number int, header ...byte) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		return reached(t, l.alice1.namespace, listenRaw(unix.AF_INET6, number),
			sendRaw(l.bob.namespace, l.alice1.ipv6, number, header), expected)
	}
}

func reachesIPv6(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, expected)
}

func fragments(t testing.TB, l *lab, expected bool) bool {
	return reached(t, l.alice1.namespace, listenUDP(netip.IPv4Unspecified(), 7000), func(payload []byte) error {
		return sendUDP(l.bob.namespace, netip.AddrPortFrom(l.alice1.ipv4, 7000))(append(make([]byte, 4000), payload...))
	}, expected)
}

func multicast(group string) func(testing.TB, *lab, bool) bool {
	to := netip.AddrPortFrom(netip.MustParseAddr(group), 7001)
	return func(t testing.TB, l *lab, expected bool) bool {
		listen := func() (receiver, error) {
			eth0, err := net.InterfaceByName("eth0")
			if err != nil {
				return nil, err
			}
			return net.ListenMulticastUDP("udp", eth0, net.UDPAddrFromAddrPort(to))
		}
		return reached(t, l.alice1.namespace, listen, sendUDP(l.bob.namespace, to), expected)
	}
}

func broadcast(t testing.TB, l *lab, expected bool) bool {
	send := sendSocket(l.bob.namespace, unix.AF_INET, unix.SOCK_DGRAM, 0, netip.MustParseAddrPort("255.255.255.255:7000"), nil,
		func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1) })
	return reached(t, l.alice1.namespace, listenUDP(netip.IPv4Unspecified(), 7000), send, expected)
}

// macvlan gives alice1 and bob a second network, as Multus does, and sends what
// they say to each other over it (P10).
func macvlan(t testing.TB, l *lab) {
	l.node.sh(t, "ip link add mv0 type veth peer name mv1; ip link set mv0 up; ip link set mv1 up")
	for i, p := range []*pod{l.alice1, l.bob} {
		l.node.must(t, func() error {
			parent, err := netlink.LinkByName("mv0")
			if err != nil {
				return err
			}
			link := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "net1", ParentIndex: parent.Attrs().Index}, Mode: netlink.MACVLAN_MODE_BRIDGE}
			if err := netlink.LinkAdd(link); err != nil {
				return err
			}
			return netlink.LinkSetNsFd(link, p.Fd())
		})
		p.must(t, func() error { return network.Address("net1", []string{"192.168.5.1/24", "192.168.5.2/24"}[i]) })
	}
	l.over(t, "net1")
}

// secondVeth gives them a second interface of the same kind as the first, as SR-IOV
// and host-device plugins do with one of the node's (P10).
func secondVeth(t testing.TB, l *lab) {
	wire(t, l.alice1.namespace, "net1", l.bob.namespace, "net1")
	for i, p := range []*pod{l.alice1, l.bob} {
		p.must(t, func() error { return network.Address("net1", []string{"192.168.5.1/24", "192.168.5.2/24"}[i]) })
	}
	l.over(t, "net1")
}

// over routes what alice1 and bob say to each other over an interface. In IPv6
// nobody answers there for an address of another interface, so who that is is said.
func (l *lab) over(t testing.TB, link string) {
	for one, other := range map[*pod]*pod{l.alice1: l.bob, l.bob: l.alice1} {
		mac := strings.TrimSpace(other.sh(t, "ip -brief link show dev "+link+" | awk '{print $3}'"))
		one.sh(t, fmt.Sprintf(`ip route add %[1]s/32 dev %[3]s src %[2]s
			ip -6 route add %[4]s/128 dev %[3]s src %[5]s
			ip -6 neigh replace %[4]s lladdr %[6]s dev %[3]s nud permanent`, other.ipv4, one.ipv4, link, other.ipv6, one.ipv6, mac))
	}
}

// machine puts a virtual machine behind alice1, which forwards for it (P12).
func machine(t testing.TB, l *lab) {
	vm := newNamespace(t, "vm")
	wire(t, vm, "eth0", l.alice1.namespace, "tap0")
	vm.sh(t, "ip addr add 192.168.122.2/24 dev eth0; ip route add default via 192.168.122.1; ip -6 addr add fd20::2/64 dev eth0 nodad; ip -6 route add default via fd20::1")
	l.alice1.must(t, func() error {
		if err := network.Address("tap0", "192.168.122.1/24", "fd20::1/64"); err != nil {
			return err
		}
		return network.Sysctl("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1")
	})
	l.vm = vm
	for _, p := range []*pod{l.bob, l.alice2} {
		p.sh(t, fmt.Sprintf("ip route add 192.168.122.0/24 via 172.16.1.10 dev eth0 onlink; ip -6 route add fd20::/64 via %s dev eth0", l.alice1.linkLocal))
	}
}

func intoMachine(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.bob.namespace, l.vm, netip.MustParseAddr("192.168.122.2"), expected)
}

func outOfMachine(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.vm, l.bob.namespace, l.bob.ipv4, expected)
}

func intoMachineIPv6(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.bob.namespace, l.vm, netip.MustParseAddr("fd20::2"), expected)
}

func outOfMachineIPv6(t testing.TB, l *lab, expected bool) bool {
	return udp(t, l.vm, l.bob.namespace, l.bob.ipv6, expected)
}

// masquerade has the node hide who sends between the tenants' ranges, as CNI
// plugins do that are told to (ipMasq).
func masquerade(t testing.TB, l *lab) {
	l.node.sh(t, "iptables-nft -t nat -A POSTROUTING -s 172.16.2.0/24 -d 172.16.1.0/24 -j MASQUERADE")
}

// nodePort publishes alice1's service on the node, as kube-proxy does.
func nodePort(t testing.TB, l *lab) {
	l.node.sh(t, `iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 30080 -j DNAT --to 172.16.1.10:9090
		iptables-nft -t nat -A POSTROUTING -p tcp -d 172.16.1.10 --dport 9090 -j MASQUERADE`)
}

func hairpin(node string) func(testing.TB, *lab, bool) bool {
	return func(t testing.TB, l *lab, expected bool) bool {
		defer l.alice1.greet(t, servicePort)()
		return dial(l.bob.namespace, netip.AddrPortFrom(netip.MustParseAddr(node), 30080), expected) == nil
	}
}
