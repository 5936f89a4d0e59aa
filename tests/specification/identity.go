package specification

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// GenerateIdentity makes a case of addressing by identity by chance: nodes and gateways
// among the pods, ranges that hold each other, peers that are none, before the feed has
// told, with it, and when it has gone.
func GenerateIdentity(random *rand.Rand) Case {
	g := generator{random}
	c := Generate(random)
	c.Config.Addressing = config.Identity
	c.Config.Peers, c.Config.Denied, c.Config.Nodes, c.Config.System = nil, nil, nil, nil
	c.Config.WhenFeedGone = []config.WhenFeedGone{config.Keep, config.Close}[random.IntN(2)]
	for c.Config.Feed == nil {
		c.Config.Feed = Generate(random).Config.Feed
	}
	if random.IntN(8) == 0 {
		return c
	}
	live := &rules.Live{
		Cluster: protocol.Cluster{Pods: g.some(1, 3, podRanges()), Services: g.some(1, 2, serviceRanges()), Nodes: g.some(0, 3, clusterNodes())},
		Lapsed:  random.IntN(3) == 0,
	}
	for _, within := range live.Cluster.Pods {
		if random.IntN(4) > 0 && (within.Addr().Is4() || c.Pod.IPv6) {
			c.Pod.Addresses = append(c.Pod.Addresses, g.within(within))
		}
	}
	for _, some := range [][]netip.Prefix{live.Cluster.Pods, live.Cluster.Services, live.Cluster.Nodes, singles(c.Pod.Addresses), singles(c.Pod.Gateways), metadataServices(), g.some(1, 2, strangers())} {
		for _, within := range some {
			if random.IntN(2) == 0 {
				live.Peers = append(live.Peers, g.within(within))
			}
		}
	}
	for _, text := range g.some(0, 3, strangers()) {
		live.Denied = append(live.Denied, text.Addr())
	}
	for _, addr := range slices.Concat(c.Pod.Addresses, live.Peers) {
		if random.IntN(4) == 0 && protocol.ValidAddress(addr) {
			live.Open = append(live.Open, protocol.Open{Address: addr, Protocol: protocol.Protocols()[random.IntN(3)], Port: []uint16{80, 8080, 4789}[random.IntN(3)]})
		}
	}
	// As package peers tells them.
	unlikely := func(addr netip.Addr) bool { return !protocol.ValidAddress(addr) }
	live.Peers, live.Denied = slices.DeleteFunc(live.Peers, unlikely), slices.DeleteFunc(live.Denied, unlikely)
	slices.SortFunc(live.Peers, netip.Addr.Compare)
	slices.SortFunc(live.Denied, netip.Addr.Compare)
	live.Peers, live.Denied = slices.Compact(live.Peers), slices.Compact(live.Denied)
	c.Live = live
	return c
}

func podRanges() []string {
	return []string{"10.244.0.0/16", "10.244.1.0/24", "10.0.0.0/8", "128.0.0.0/1", "172.16.1.0/24", "fd00:1::/64", "fd00::/8", "8000::/1"}
}

func serviceRanges() []string {
	return []string{"10.96.0.0/12", "10.244.1.0/25", "172.16.0.0/12", "fd02::/112", "fd00:1::/80"}
}

func clusterNodes() []string {
	return []string{"10.250.0.0/24", "10.244.1.1/32", "192.168.5.0/24", "172.16.1.2/32", "fd01::/64", "fd00:1::2/128", "2001:db8::/32",
		"100.64.0.0/10", "169.254.170.2/32", "169.254.0.0/16", "fd00:ec2::/32"}
}

// strangers are outside the cluster, unless the ranges happen to hold them.
func strangers() []string {
	return []string{"203.0.113.7/32", "198.51.100.1/32", "10.96.7.9/32", "192.168.5.9/32", "2001:db8:9::1/128", "fd00:2::7/128"}
}

// smallerLive are the cases in which the feed has told one thing less.
func (c Case) smallerLive() []Case {
	var all []Case
	add := func(change func(*rules.Live)) {
		live := *c.Live
		change(&live)
		all = append(all, Case{c.Config, c.Pod, &live})
	}
	if c.Live.Lapsed {
		add(func(l *rules.Live) { l.Lapsed = false })
	}
	for _, list := range []func(*rules.Live) *[]netip.Prefix{
		func(l *rules.Live) *[]netip.Prefix { return &l.Cluster.Pods },
		func(l *rules.Live) *[]netip.Prefix { return &l.Cluster.Services },
		func(l *rules.Live) *[]netip.Prefix { return &l.Cluster.Nodes },
	} {
		for i := range *list(c.Live) {
			add(func(l *rules.Live) { *list(l) = without(*list(l), i) })
		}
	}
	for i := range c.Live.Peers {
		add(func(l *rules.Live) { l.Peers = without(l.Peers, i) })
	}
	for i := range c.Live.Denied {
		add(func(l *rules.Live) { l.Denied = without(l.Denied, i) })
	}
	for i := range c.Live.Open {
		add(func(l *rules.Live) { l.Open = without(l.Open, i) })
	}
	return all
}

func singles(addrs []netip.Addr) []netip.Prefix {
	var all []netip.Prefix
	for _, addr := range addrs {
		all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
	}
	return all
}
