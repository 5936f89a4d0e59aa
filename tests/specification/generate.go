package specification

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Case is a configuration, the pod that it is for, and, with addressing by identity,
// what the feed has told.
type Case struct {
	Config *config.Config
	Pod    rules.Pod
	Live   *rules.Live
}

// Generate makes a case by chance: ranges that hold each other, nodes and gateways
// inside the tenant's range or far from it, one family or both, several interfaces.
// Not every case is one that rules can be built for.
func Generate(random *rand.Rand) Case {
	g := generator{random}
	c := &config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Peers:   g.some(1, 3, tenantRanges()),
		Nodes:   g.some(1, 3, nodeRanges()),
		System:  g.some(0, 3, systemRanges()),
		Egress:  config.Egress{Metadata: g.action(), Nodes: g.action(), External: g.action()},
	}
	c.Denied = slices.Concat(c.Peers, g.some(0, 3, deniedRanges()))
	for _, port := range []config.Port{443, 4789, 8080, 9090} {
		if g.random.IntN(3) == 0 {
			c.Probes = append(c.Probes, port)
		}
	}
	if g.random.IntN(2) == 0 {
		feeds := []string{"10.96.7.7:443", "172.16.1.9:443", "10.250.0.5:8080", "[fd02::7]:443", "[fd00:1::2]:443"}
		c.Feed = &config.Feed{Address: netip.MustParseAddrPort(feeds[g.random.IntN(len(feeds))]), ServerName: "feed.example", CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}
	}
	pod := rules.Pod{IPv6: g.random.IntN(5) > 0, Log: g.random.IntN(2) == 0}
	for _, peer := range c.Peers {
		if g.random.IntN(3) > 0 {
			pod.Addresses = append(pod.Addresses, g.within(peer))
		}
	}
	for _, own := range g.some(0, 2, []string{"192.168.5.9/32", "fe80::7/128", "2001:db8:5::9/128", "10.0.0.9/32"}) {
		pod.Addresses = append(pod.Addresses, own.Addr())
	}
	for _, gateway := range g.some(0, 2, []string{"169.254.1.1/32", "fe80::1/128", "172.16.1.1/32", "fd00:1::1/128", "10.0.0.1/32"}) {
		pod.Gateways = append(pod.Gateways, gateway.Addr())
	}
	if g.random.IntN(3) == 0 {
		pod.Gateways = append(pod.Gateways, g.within(c.Peers[0]))
	}
	if !pod.IPv6 {
		six := func(addr netip.Addr) bool { return addr.Is6() }
		pod.Addresses, pod.Gateways = slices.DeleteFunc(pod.Addresses, six), slices.DeleteFunc(pod.Gateways, six)
	}
	return Case{Config: c, Pod: pod}
}

func tenantRanges() []string {
	return []string{"172.16.1.0/24", "172.16.1.128/25", "172.16.0.0/15", "10.0.0.0/8", "10.0.0.9/32", "169.254.0.0/16", "128.0.0.0/1",
		"fd00:1::/64", "fd00:1::/32", "fd00::/8", "fd00:ec2::/32", "fd00:1::7/128", "fe80::/10", "8000::/1"}
}

func nodeRanges() []string {
	return []string{"10.250.0.0/24", "172.16.1.2/32", "172.16.0.0/12", "192.168.5.0/24", "224.0.0.0/8", "fd01::/64", "fd00:1::2/128", "fd00:1::/48", "2001:db8::/32"}
}

func systemRanges() []string {
	return []string{"10.244.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "0.0.0.0/0", "fd02::/48", "fd00::/8", "::/0"}
}

func deniedRanges() []string {
	return []string{"172.16.0.0/12", "172.17.2.0/24", "10.0.0.0/9", "0.0.0.0/0", "fd00::/16", "fd00:2::/64", "::/0", "fe80::/64"}
}

type generator struct{ random *rand.Rand }

func (g generator) action() config.Action {
	if g.random.IntN(2) == 0 {
		return config.Allow
	}
	return config.Deny
}

// some takes between least and most of the prefixes.
func (g generator) some(least, most int, texts []string) []netip.Prefix {
	var all []netip.Prefix
	for _, i := range g.random.Perm(len(texts))[:least+g.random.IntN(most-least+1)] {
		all = append(all, netip.MustParsePrefix(texts[i]))
	}
	return all
}

// within is one of a range's first addresses.
func (g generator) within(prefix netip.Prefix) netip.Addr {
	addr := prefix.Addr()
	for range g.random.IntN(8) {
		if next := addr.Next(); prefix.Contains(next) {
			addr = next
		}
	}
	return addr
}

// Smaller are the cases that lack one thing of this one, to look for the least case
// that fails.
func (c Case) Smaller() []Case {
	var all []Case
	add := func(change func(*Case)) {
		copied := *c.Config
		smaller := Case{&copied, c.Pod, c.Live}
		change(&smaller)
		all = append(all, smaller)
	}
	for _, list := range []func(*Case) *[]netip.Prefix{
		func(c *Case) *[]netip.Prefix { return &c.Config.Peers },
		func(c *Case) *[]netip.Prefix { return &c.Config.Denied },
		func(c *Case) *[]netip.Prefix { return &c.Config.Nodes },
		func(c *Case) *[]netip.Prefix { return &c.Config.System },
	} {
		for i := range *list(&c) {
			add(func(c *Case) { *list(c) = without(*list(c), i) })
		}
	}
	for _, list := range []func(*Case) *[]netip.Addr{
		func(c *Case) *[]netip.Addr { return &c.Pod.Addresses },
		func(c *Case) *[]netip.Addr { return &c.Pod.Gateways },
	} {
		for i := range *list(&c) {
			add(func(c *Case) { *list(c) = without(*list(c), i) })
		}
	}
	if c.Config.Feed != nil {
		add(func(c *Case) { c.Config.Feed = nil })
	}
	if c.Live != nil {
		all = append(all, c.smallerLive()...)
	}
	for i := range c.Config.Probes {
		add(func(c *Case) { c.Config.Probes = without(c.Config.Probes, i) })
	}
	return all
}

func without[T any](list []T, i int) []T { return slices.Delete(slices.Clone(list), i, i+1) }
