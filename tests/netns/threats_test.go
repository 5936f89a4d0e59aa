//go:build linux

package netns

import (
	"net/netip"
	"testing"
)

// attack is a way from bob's pod to alice1 that the threat model names.
type attack struct {
	// prepare changes the lab first.
	prepare func(t testing.TB, l *lab)
	// reaches tries it and says whether it gets through.
	reaches func(t testing.TB, l *lab, expected bool) bool
	// byVictim and byAttacker say whose rules stop it, if the other side has
	// none. Where only the attacker's do, the test holds that too: it is why no
	// tenant's pod may be without rules.
	byVictim, byAttacker bool
}

func TestThreats(t *testing.T) {
	needs(t)
	for name, attack := range attacks() {
		t.Run(name, func(t *testing.T) {
			t.Run("rules of the victim", func(t *testing.T) {
				t.Parallel()
				attack.try(t, attack.byVictim, func(l *lab) { l.alice1.protect(t, alice()) })
			})
			t.Run("rules of the attacker", func(t *testing.T) {
				t.Parallel()
				attack.try(t, attack.byAttacker, func(l *lab) { l.bob.protect(t, bob()) })
			})
		})
	}
}

// attacks are all of them.
func attacks() map[string]attack {
	return map[string]attack{
		"P1 to an address outside all ranges": {
			prepare: func(t testing.TB, l *lab) {
				l.alice1.sh(t, "ip addr add 192.168.77.1/32 dev eth0")
				l.bob.sh(t, "ip route add 192.168.77.1/32 via 172.16.1.10 dev eth0 onlink")
			},
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return udp(t, l.bob.namespace, l.alice1.namespace, netip.MustParseAddr("192.168.77.1"), expected)
			},
			byVictim: true,
		},
		"P1 from an address outside all ranges": {
			prepare: func(t testing.TB, l *lab) {
				l.bob.sh(t, "ip addr add 192.168.88.1/32 dev eth0; ip route replace default via 172.16.2.1 src 192.168.88.1")
			},
			reaches:    reachesIPv4,
			byAttacker: true,
		},
		"P3 IPv4 source of another pod, by a raw socket": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return reached(t, l.alice1.namespace, listenUDP(netip.IPv4Unspecified(), 7000), forged(l, l.alice1), expected)
			},
			byAttacker: true,
		},
		"P3 IPv4 source of another pod, to a pod that both may reach": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return reached(t, l.dns.namespace, listenUDP(netip.IPv4Unspecified(), 7000), forged(l, l.dns), expected)
			},
			byAttacker: true,
		},
		"P4 IPv6 source of another pod, without any capability": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return reached(t, l.alice1.namespace, listenUDP(netip.IPv6Unspecified(), 7000), freebind(l, l.alice1), expected)
			},
			byAttacker: true,
		},
		"P4 IPv6 source of another pod, to a pod that both may reach": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return reached(t, l.dns.namespace, listenUDP(netip.IPv6Unspecified(), 7000), freebind(l, l.dns), expected)
			},
			byAttacker: true,
		},
		"P5 unique local IPv6": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return udp(t, l.bob.namespace, l.alice1.namespace, l.alice1.ipv6, expected)
			},
			byVictim: true, byAttacker: true,
		},
		"P5 link-local IPv6": {
			reaches: reachesLinkLocal, byVictim: true, byAttacker: true,
		},
		"P5 IPv6 into a pod that has only IPv4": {
			prepare: func(t testing.TB, l *lab) {
				l.alice1.sh(t, "ip -6 addr del fd10:1::10/64 dev eth0")
			},
			reaches: reachesLinkLocal, byVictim: true, byAttacker: true,
		},
		"P5 router advertisement, CVE-2020-10749": {
			reaches: advertised, byVictim: true, byAttacker: true,
		},
		"P5 redirect": {
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return reached(t, l.alice1.namespace, listenRaw(10, 58),
					sendRaw(l.bob.namespace, l.alice1.linkLocal.WithZone("eth0"), 58, []byte{137, 0, 0, 0, 0, 0, 0, 0}), expected)
			},
			byVictim: true, byAttacker: true,
		},
		"P6 VXLAN to the node's address":        {prepare: vxlan, reaches: encapsulated("10.250.0.1"), byAttacker: true},
		"P6 VXLAN to the gateway":               {prepare: vxlan, reaches: encapsulated("172.16.2.1"), byAttacker: true},
		"P6 VXLAN to a node at an unknown name": {prepare: vxlan, reaches: encapsulated("172.16.2.129"), byAttacker: true},
		// No firewall of a pod sees what a Service translates: admission refuses such
		// Endpoints (svc-endpoint-addresses).
		"P6 VXLAN by way of a Service":         {prepare: translated, reaches: encapsulatedTo(netip.MustParseAddrPort("10.96.0.9:53"))},
		"P6 VXLAN of Linux' own port":          {prepare: vxlan, reaches: encapsulation(8472, "10.250.0.1"), byAttacker: true},
		"P6 Geneve":                            {prepare: vxlan, reaches: encapsulation(6081, "172.16.2.129"), byAttacker: true},
		"P6 VXLAN over IPv6":                   {reaches: encapsulation(4789, "fd10:2::1"), byAttacker: true},
		"P6 Geneve over IPv6":                  {reaches: encapsulation(6081, "fd11::1"), byAttacker: true},
		"P6 IPIP to a node at an unknown name": {prepare: vxlan, reaches: tunnelled(4), byAttacker: true},
		"P6 6in4 to a node at an unknown name": {prepare: vxlan, reaches: tunnelled(41), byAttacker: true},
		"P6 GRE to a node at an unknown name":  {prepare: vxlan, reaches: tunnelled(47), byAttacker: true},
		"P7 to loopback through route_localnet": {
			prepare: localnet,
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return martian(t, l, l.alice2.ipv4, netip.MustParseAddr("127.0.0.1"), expected)
			},
			byVictim: true,
		},
		"P7 as if from loopback": {
			prepare: localnet,
			reaches: func(t testing.TB, l *lab, expected bool) bool {
				return martian(t, l, netip.MustParseAddr("127.0.0.1"), l.alice1.ipv4, expected)
			},
			byVictim: true,
		},
		"P9 UDP":                                 {reaches: reachesIPv4, byVictim: true, byAttacker: true},
		"P9 TCP":                                 {reaches: reachesTCP, byVictim: true, byAttacker: true},
		"P9 ICMP echo":                           {reaches: protocol(1, 8, 0, 0, 0, 0, 1, 0, 1), byVictim: true, byAttacker: true},
		"P9 SCTP":                                {reaches: protocol(132), byVictim: true, byAttacker: true},
		"P9 DCCP":                                {reaches: protocol(33), byVictim: true, byAttacker: true},
		"P9 UDP-Lite":                            {reaches: protocol(136), byVictim: true, byAttacker: true},
		"P9 a protocol without a name":           {reaches: protocol(253), byVictim: true, byAttacker: true},
		"P9 fragments":                           {reaches: fragments, byVictim: true, byAttacker: true},
		"P9 IPv4 multicast":                      {reaches: multicast("224.0.0.251"), byVictim: true, byAttacker: true},
		"P9 IPv6 multicast":                      {reaches: multicast("ff02::fb%eth0"), byVictim: true, byAttacker: true},
		"P9 broadcast":                           {reaches: broadcast, byVictim: true, byAttacker: true},
		"P9 IPv6 ICMP echo":                      {reaches: protocolIPv6(58, 128, 0, 0, 0, 0, 1, 0, 1), byVictim: true, byAttacker: true},
		"P9 IPv6 SCTP":                           {reaches: protocolIPv6(132), byVictim: true, byAttacker: true},
		"P9 IPv6 UDP-Lite":                       {reaches: protocolIPv6(136), byVictim: true, byAttacker: true},
		"P9 IPv6 a protocol without a name":      {reaches: protocolIPv6(253), byVictim: true, byAttacker: true},
		"P10 macvlan":                            {prepare: macvlan, reaches: reachesIPv4, byVictim: true, byAttacker: true},
		"P10 macvlan, IPv6":                      {prepare: macvlan, reaches: reachesIPv6, byVictim: true, byAttacker: true},
		"P10 a second veth":                      {prepare: secondVeth, reaches: reachesIPv4, byVictim: true, byAttacker: true},
		"P10 a second veth, IPv6":                {prepare: secondVeth, reaches: reachesIPv6, byVictim: true, byAttacker: true},
		"P12 forwarded into a machine behind":    {prepare: machine, reaches: intoMachine, byVictim: true},
		"P12 forwarded out of a machine behind":  {prepare: machine, reaches: outOfMachine, byVictim: true},
		"P12 IPv6 into a machine behind":         {prepare: machine, reaches: intoMachineIPv6, byVictim: true},
		"P12 IPv6 out of a machine behind":       {prepare: machine, reaches: outOfMachineIPv6, byVictim: true},
		"S2 masqueraded by the node":             {prepare: masquerade, reaches: reachesTCP, byVictim: true, byAttacker: true},
		"S2 NodePort and back (node's address)":  {prepare: nodePort, reaches: hairpin("10.250.0.1"), byVictim: true, byAttacker: true},
		"S2 NodePort and back (gateway address)": {prepare: nodePort, reaches: hairpin("172.16.2.1"), byVictim: true, byAttacker: true},
	}
}

// try shows the attack working, protects, and holds that it is stopped or not,
// and that what must pass still does.
func (a attack) try(t *testing.T, stopped bool, protect func(*lab)) {
	l := newLab(t)
	if a.prepare != nil {
		a.prepare(t, l)
	}
	if !a.reaches(t, l, true) {
		t.Fatal("the attack does not work without rules: this test proves nothing")
	}
	protect(l)
	if reaches := a.reaches(t, l, !stopped); reaches == stopped {
		t.Errorf("with rules the attack reaches its aim: %v", reaches)
	}
	l.passes(t)
}

// passes holds that same-tenant and shared traffic passes in every family that
// the pods have.
func (l *lab) passes(t testing.TB) {
	t.Helper()
	flush := func(p *pod) { p.sh(t, "ip neigh flush all; ip -6 neigh flush all") }
	flush(l.alice1) // neighbour discovery must do its work again
	flush(l.alice2)
	for _, way := range []struct {
		from, to *pod
		ipv6     bool
	}{
		{l.alice2, l.alice1, true},
		{l.alice1, l.alice2, true},
		{l.alice1, l.dns, false},
		{l.bob, l.dns, false},
	} {
		if !udp(t, way.from.namespace, way.to.namespace, way.to.ipv4, true) {
			t.Errorf("IPv4 from %s to %s does not pass", way.from.Name, way.to.Name)
		}
		if way.ipv6 && way.from.hasIPv6(t) && way.to.hasIPv6(t) && !udp(t, way.from.namespace, way.to.namespace, way.to.ipv6, true) {
			t.Errorf("IPv6 from %s to %s does not pass", way.from.Name, way.to.Name)
		}
	}
}
