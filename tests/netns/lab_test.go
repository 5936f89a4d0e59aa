//go:build linux

package netns

import (
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	network "github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// lab is a small cluster as a bridge CNI makes it, one subnet for each tenant:
//
//	alice1 .1.10  alice2 .1.11  bob .2.10  dns 10.244.0.10
//	     \            |           |           /
//	      +-----------+---br0-----+----------+    node 10.250.0.1, fd11::1
//	        172.16.1.1  172.16.2.1  10.244.0.1
//	                       |
//	              world 203.0.113.2, 2001:db8::2, 169.254.169.254, fd00:ec2::254
//
// IPv6 is beside it: fd10:1::/64, fd10:2::/64, fd12::/64. All pods share one
// link, so that link-local traffic is possible too.
type lab struct {
	node, world               *namespace
	vm                        *namespace // behind alice1, if made
	alice1, alice2, bob, dns  *pod
	nodeIPv4, nodeIPv6        netip.Addr
	worldIPv4, worldIPv6      netip.Addr
	metadataIPv4, metadataIP6 netip.Addr
}

// pod is a namespace with eth0 on the bridge.
type pod struct {
	*namespace
	ipv4, ipv6, linkLocal netip.Addr
	mac                   net.HardwareAddr
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{
		node:         newNamespace(t, "node"),
		world:        newNamespace(t, "world"),
		nodeIPv4:     netip.MustParseAddr("10.250.0.1"),
		nodeIPv6:     netip.MustParseAddr("fd11::1"),
		worldIPv4:    netip.MustParseAddr("203.0.113.2"),
		worldIPv6:    netip.MustParseAddr("2001:db8::2"),
		metadataIPv4: netip.MustParseAddr("169.254.169.254"),
		metadataIP6:  netip.MustParseAddr("fd00:ec2::254"),
	}
	l.node.must(t, func() error {
		if err := network.Sysctl("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1", "net/ipv4/conf/all/rp_filter=0", "net/ipv4/conf/default/rp_filter=0"); err != nil {
			return err
		}
		if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}); err != nil {
			return err
		}
		if err := network.Address("lo", "10.250.0.1/32", "fd11::1/128"); err != nil {
			return err
		}
		return network.Address("br0", "172.16.1.1/24", "172.16.2.1/24", "10.244.0.1/24", "fd10:1::1/64", "fd10:2::1/64", "fd12::1/64")
	})
	wire(t, l.world, "eth0", l.node, "world")
	l.node.must(t, func() error { return network.Address("world", "203.0.113.1/24", "2001:db8::1/64") })
	l.world.must(t, func() error {
		if err := network.Address("lo", "169.254.169.254/32", "fd00:ec2::254/128"); err != nil {
			return err
		}
		if err := network.Address("eth0", "203.0.113.2/24", "2001:db8::2/64"); err != nil {
			return err
		}
		return route("203.0.113.1", "2001:db8::1")
	})
	l.node.must(t, func() error {
		if err := routeTo("169.254.169.254/32", "203.0.113.2"); err != nil {
			return err
		}
		return routeTo("fd00:ec2::254/128", "2001:db8::2")
	})
	l.alice1 = l.pod(t, "alice1", "172.16.1.10/24", "fd10:1::10/64", "172.16.1.1", "fd10:1::1")
	l.alice2 = l.pod(t, "alice2", "172.16.1.11/24", "fd10:1::11/64", "172.16.1.1", "fd10:1::1")
	l.bob = l.pod(t, "bob", "172.16.2.10/24", "fd10:2::10/64", "172.16.2.1", "fd10:2::1")
	l.dns = l.pod(t, "dns", "10.244.0.10/24", "fd12::10/64", "10.244.0.1", "fd12::1")
	return l
}

// pod makes a namespace with eth0 on the bridge. An empty IPv6 address leaves it
// with a link-local one.
func (l *lab) pod(t testing.TB, name, ipv4, ipv6, gateway4, gateway6 string) *pod {
	t.Helper()
	p := &pod{namespace: newNamespace(t, name), ipv4: netip.MustParsePrefix(ipv4).Addr()}
	wire(t, p.namespace, "eth0", l.node, "p-"+name)
	l.node.must(t, func() error {
		bridge, err := netlink.LinkByName("br0")
		if err != nil {
			return err
		}
		port, err := netlink.LinkByName("p-" + name)
		if err != nil {
			return err
		}
		return netlink.LinkSetMaster(port, bridge)
	})
	p.must(t, func() error {
		eth0, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		p.mac = eth0.Attrs().HardwareAddr
		p.linkLocal = linkLocal(p.mac)
		addresses, gateways := []string{ipv4}, []string{gateway4}
		if ipv6 != "" {
			p.ipv6 = netip.MustParsePrefix(ipv6).Addr()
			addresses, gateways = append(addresses, ipv6), append(gateways, gateway6)
		}
		if err := network.Address("eth0", addresses...); err != nil {
			return err
		}
		return route(gateways...)
	})
	return p
}

// tenant is the configuration that the webhook would give a tenant's pods here.
func tenant(name string, peers ...string) *config.Config {
	c := &config.Config{
		Version: config.Version,
		Tenant:  name,
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("fd10::/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24"), netip.MustParsePrefix("fd11::/64")},
		System:  []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16"), netip.MustParsePrefix("fd12::/64")},
		Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		Probes:  []config.Port{probePort},
	}
	for _, peer := range peers {
		c.Peers = append(c.Peers, netip.MustParsePrefix(peer))
	}
	return c
}

// probePort is the port that the pods' probes name.
const probePort = 8080

func alice() *config.Config { return tenant("alice", "172.16.1.0/24", "fd10:1::/64") }
func bob() *config.Config   { return tenant("bob", "172.16.2.0/24", "fd10:2::/64") }

// route sets default routes.
func route(gateways ...string) error {
	for _, gateway := range gateways {
		if err := netlink.RouteAdd(&netlink.Route{Gw: net.ParseIP(gateway)}); err != nil {
			return err
		}
	}
	return nil
}

func routeTo(prefix, gateway string) error {
	_, destination, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: net.ParseIP(gateway)})
}

// linkLocal is the address that the kernel makes of a MAC (RFC 4291, appendix A).
func linkLocal(mac net.HardwareAddr) netip.Addr {
	id := slices.Concat([]byte{mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe}, mac[3:])
	return netip.AddrFrom16([16]byte(append([]byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0}, id...)))
}
