//go:build linux

package netns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	network "github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// TestNodeAndGateway holds S2 from the node's side: the kubelet reaches the ports
// that probes name, at whatever address it sends from, and nothing else.
func TestNodeAndGateway(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	ways := map[string]struct{ from, to netip.Addr }{
		"gateway IPv4": {netip.MustParseAddr("172.16.1.1"), l.alice1.ipv4},
		"gateway IPv6": {netip.MustParseAddr("fd10:1::1"), l.alice1.ipv6},
		"node IPv4":    {l.nodeIPv4, l.alice1.ipv4},
		"node IPv6":    {l.nodeIPv6, l.alice1.ipv6},
	}
	for name, way := range ways {
		if !probe(t, l, way.from, way.to, servicePort, true) {
			t.Fatalf("%s: does not reach the pod without rules: this test proves nothing", name)
		}
		if !fromProbePort(t, l, way.to, way.from, true) {
			t.Fatalf("%s: cannot be reached from the probe's port without rules: this test proves nothing", name)
		}
	}
	l.alice1.protect(t, alice())
	for name, way := range ways {
		if !probe(t, l, way.from, way.to, probePort, true) {
			t.Errorf("%s: a probe does not pass", name)
		}
		if probe(t, l, way.from, way.to, servicePort, false) {
			t.Errorf("%s: reaches a port that no probe names", name)
		}
		if fromProbePort(t, l, way.to, way.from, false) {
			t.Errorf("%s: the pod opens a connection to it from the probe's port", name)
		}
	}
	l.passes(t)
}

// fromProbePort opens a connection to the node as if answering a probe.
func fromProbePort(t testing.TB, l *lab, from, to netip.Addr, expected bool) bool {
	t.Helper()
	defer l.node.greet(t, servicePort)()
	return dialFrom(l.alice1.namespace, netip.AddrPortFrom(from, probePort), netip.AddrPortFrom(to, servicePort), expected) == nil
}

// probe opens a connection from one of the node's addresses.
func probe(t testing.TB, l *lab, from, to netip.Addr, port uint16, expected bool) bool {
	t.Helper()
	defer l.alice1.greet(t, port)()
	return dialFrom(l.node, netip.AddrPortFrom(from, 0), netip.AddrPortFrom(to, port), expected) == nil
}

// TestEgress holds what the pod may reach beside its peers, as its tenant's egress
// says.
func TestEgress(t *testing.T) {
	needs(t)
	none := config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Deny}
	usual := config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow}
	with := func(egress config.Egress, change func(*config.Egress)) config.Egress {
		change(&egress)
		return egress
	}
	cases := map[string]struct {
		egress                   config.Egress
		metadata, nodes, outside bool
	}{
		"P13 usual":        {egress: usual, outside: true},
		"all denied":       {egress: none},
		"metadata allowed": {egress: with(none, func(e *config.Egress) { e.Metadata = config.Allow }), metadata: true},
		"nodes allowed":    {egress: with(none, func(e *config.Egress) { e.Nodes = config.Allow }), nodes: true},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			ways := []struct {
				name     string
				passes   func(expected bool) bool
				expected bool
			}{
				{"metadata IPv4", func(e bool) bool { return udp(t, l.alice1.namespace, l.world, l.metadataIPv4, e) }, test.metadata},
				{"metadata IPv6", func(e bool) bool { return udp(t, l.alice1.namespace, l.world, l.metadataIP6, e) }, test.metadata},
				{"node IPv4", func(e bool) bool { return tcp(t, l.alice1.namespace, l.node, l.nodeIPv4, servicePort, e) }, test.nodes},
				{"node IPv6", func(e bool) bool { return tcp(t, l.alice1.namespace, l.node, l.nodeIPv6, servicePort, e) }, test.nodes},
				{"gateway", func(e bool) bool {
					return tcp(t, l.alice1.namespace, l.node, netip.MustParseAddr("172.16.1.1"), servicePort, e)
				}, test.nodes},
				{"gateway, one way", func(e bool) bool {
					return udp(t, l.alice1.namespace, l.node, netip.MustParseAddr("172.16.1.1"), e)
				}, test.nodes},
				{"node, one way", func(e bool) bool { return udp(t, l.alice1.namespace, l.node, l.nodeIPv4, e) }, test.nodes},
				{"outside IPv4", func(e bool) bool { return tcp(t, l.alice1.namespace, l.world, l.worldIPv4, servicePort, e) }, test.outside},
				{"outside IPv6", func(e bool) bool { return tcp(t, l.alice1.namespace, l.world, l.worldIPv6, servicePort, e) }, test.outside},
				{"from outside", func(e bool) bool { return udp(t, l.world, l.alice1.namespace, l.alice1.ipv4, e) }, test.outside},
				{"from metadata", func(e bool) bool {
					return reached(t, l.alice1.namespace, listenUDP(netip.IPv4Unspecified(), 7000), sendSocket(l.world, unix.AF_INET, unix.SOCK_DGRAM, 0,
						netip.AddrPortFrom(l.alice1.ipv4, 7000), nil,
						func(fd int) error { return unix.Bind(fd, sockaddr(netip.AddrPortFrom(l.metadataIPv4, 0))) }), e)
				}, test.metadata},
				{"from the node", func(e bool) bool { return tcp(t, l.node, l.alice1.namespace, l.alice1.ipv4, servicePort, e) }, false},
				{"cluster DNS", func(e bool) bool { return tcp(t, l.alice1.namespace, l.dns.namespace, l.dns.ipv4, 53, e) }, true},
				{"other tenant", func(e bool) bool { return udp(t, l.alice1.namespace, l.bob.namespace, l.bob.ipv4, e) }, false},
			}
			for _, way := range ways {
				if !way.passes(true) {
					t.Fatalf("%s: does not pass without rules: this test proves nothing", way.name)
				}
			}
			c := alice()
			c.Egress = test.egress
			l.alice1.protect(t, c)
			for _, way := range ways {
				if passes := way.passes(way.expected); passes != way.expected {
					t.Errorf("%s: passes: %v, want %v", way.name, passes, way.expected)
				}
			}
		})
	}
}

// TestPathMTU holds that the pod still learns of a narrow link behind the node:
// the report comes from the node's address, without a connection to belong to.
func TestPathMTU(t *testing.T) {
	needs(t)
	const narrow = 1300
	for name, way := range map[string]struct {
		to             func(*lab) netip.Addr
		family         int
		level, get     int
		discover, full int
	}{
		"IPv4": {func(l *lab) netip.Addr { return l.worldIPv4 }, unix.AF_INET, unix.IPPROTO_IP, unix.IP_MTU, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO},
		"IPv6": {func(l *lab) netip.Addr { return l.worldIPv6 }, unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_MTU, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			l.node.sh(t, "ip link set world mtu 1300")
			l.alice1.protect(t, alice())
			learned := 0
			l.alice1.must(t, func() error {
				fd, err := unix.Socket(way.family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
				if err != nil {
					return err
				}
				defer unix.Close(fd)
				if err := unix.SetsockoptInt(fd, way.level, way.discover, way.full); err != nil {
					return err
				}
				if err := unix.Connect(fd, sockaddr(netip.AddrPortFrom(way.to(l), 7000))); err != nil {
					return err
				}
				for deadline := time.Now().Add(patience); learned != narrow && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
					if _, err := unix.Write(fd, make([]byte, 1400)); err != nil && !soft(err) {
						return err
					}
					if learned, err = unix.GetsockoptInt(fd, way.level, way.get); err != nil {
						return err
					}
				}
				return nil
			})
			if learned != narrow {
				t.Errorf("the path's MTU is %d, the pod believes %d", narrow, learned)
			}
		})
	}
}

// TestLoopbackStaysHome holds P7 for what the pod itself sends: loopback addresses
// must not leave it, whatever interface a socket is bound to.
func TestLoopbackStaysHome(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	for _, p := range []*namespace{l.node, l.bob.namespace} {
		p.must(t, func() error { return network.Sysctl("net/ipv4/conf/all/route_localnet=1") })
	}
	loopback := netip.MustParseAddr("127.0.0.1")
	attack := func(expected bool) bool {
		return reached(t, l.node, listenUDP(loopback, 7000), sendSocket(l.bob.namespace, unix.AF_INET, unix.SOCK_DGRAM, 0,
			netip.AddrPortFrom(loopback, 7000), nil,
			func(fd int) error { return unix.BindToDevice(fd, "eth0") },
			func(fd int) error { return unix.Bind(fd, sockaddr(netip.AddrPortFrom(l.bob.ipv4, 0))) }), expected)
	}
	if !attack(true) {
		t.Fatal("does not reach the node's loopback without rules: this test proves nothing")
	}
	l.bob.protect(t, bob())
	if attack(false) {
		t.Error("the pod reaches the node's loopback")
	}
	if !udp(t, l.bob.namespace, l.bob.namespace, loopback, true) || !udp(t, l.bob.namespace, l.bob.namespace, netip.IPv6Loopback(), true) {
		t.Error("the pod does not reach its own loopback")
	}
	if !udp(t, l.bob.namespace, l.bob.namespace, l.bob.ipv4, true) || !udp(t, l.bob.namespace, l.bob.namespace, l.bob.ipv6, true) {
		t.Error("the pod does not reach itself")
	}
}

// TestDuplicateAddressDetection holds that a protected pod still hears that an
// address is taken, which it asks before it has one itself.
func TestDuplicateAddressDetection(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	l.alice1.protect(t, alice())
	l.alice2.protect(t, alice())
	l.alice1.must(t, func() error {
		return network.Sysctl("net/ipv6/conf/all/accept_dad=1", "net/ipv6/conf/eth0/accept_dad=1")
	})
	l.alice1.sh(t, "ip -6 addr add "+l.alice2.ipv6.String()+"/64 dev eth0")
	if !eventually(func() bool {
		return strings.Contains(l.alice1.sh(t, "ip -6 addr show dev eth0 dadfailed"), l.alice2.ipv6.String())
	}) {
		t.Errorf("took an address that another pod has:\n%s", l.alice1.sh(t, "ip -6 addr show dev eth0"))
	}
}

// TestForwardingForPeers holds that P12 does not stop what may pass.
func TestForwardingForPeers(t *testing.T) {
	needs(t)
	t.Parallel()
	l := newLab(t)
	machine(t, l)
	l.alice1.protect(t, alice())
	vm := netip.MustParseAddr("192.168.122.2")
	if !udp(t, l.alice2.namespace, l.vm, vm, true) {
		t.Error("a peer does not reach the machine")
	}
	if !udp(t, l.vm, l.alice2.namespace, l.alice2.ipv4, true) {
		t.Error("the machine does not reach a peer")
	}
}
