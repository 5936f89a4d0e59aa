package rules

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// Pod is what the rules need to know of the pod's network namespace.
type Pod struct {
	// Addresses are those of all interfaces, without the loopback ranges and
	// without zones.
	Addresses []netip.Addr
	// Gateways are the next hops of all routes.
	Gateways []netip.Addr
	// IPv6 says whether the kernel has IPv6 at all.
	IPv6 bool
	// Log says whether the kernel can tell of packets that are dropped (NFLOG).
	Log bool
}

// Build makes the plan. A family in which the pod has no address of its tenant's
// is closed but for loopback (P5). It is an error if that leaves an address
// unused, or if an address belongs to another tenant: the IPAM then does not keep
// to the tenants' ranges, and nobody could tell the pod's traffic from another's.
//
// Live is for addressing by identity only; nil is before the feed has told anything.
func Build(c *config.Config, pod Pod, live *Live) (Plan, error) {
	families := []Family{IPv4}
	if pod.IPv6 {
		families = append(families, IPv6)
	}
	var plan Plan
	member := false
	peers := newRanges(c.Peers)
	for _, family := range families {
		b := builder{
			family:    family,
			config:    c,
			addresses: family.addresses(pod.Addresses),
			gateways:  family.addresses(pod.Gateways),
			peers:     peers.of(family),
			log:       pod.Log,
		}
		open := false
		if c.Addressing == config.Identity {
			if live != nil && b.among(live.Cluster.Pods) {
				b.live, member = live, true
			}
			open = len(global(b.addresses)) > 0
		} else {
			var err error
			if open, err = b.member(); err != nil {
				return Plan{}, err
			}
			member = member || open
		}
		plan.Tables = append(plan.Tables, b.table(open))
	}
	addrs := global(pod.Addresses)
	switch {
	case member || len(addrs) == 0 || c.Addressing == config.Identity && live == nil:
		return plan, nil
	case c.Addressing == config.Identity:
		return Plan{}, fmt.Errorf("no address of the pod %v lies in the cluster's pod ranges %v: are they configured wrongly (cluster.podCIDRs)?",
			addrs, live.Cluster.Pods)
	}
	return Plan{}, fmt.Errorf("no address of the pod %v lies in the ranges of tenant %s %v: the cluster's IPAM does not keep to them",
		addrs, c.Tenant, c.Peers)
}

// builder holds what concerns one family.
type builder struct {
	family    Family
	config    *config.Config
	addresses []netip.Addr
	gateways  []netip.Addr
	peers     ranges // those of the configuration
	live      *Live  // nil, if the pod takes no part in this family or nothing is known
	log       bool
}

// member says whether the pod has an address of its tenant's in this family.
func (b builder) member() (bool, error) {
	found := false
	for _, addr := range global(b.addresses) {
		own, denied := b.peers.overlap(single(addr)), holds(b.config.Denied, addr)
		switch {
		case denied && !own:
			return false, fmt.Errorf("the pod's address %s lies in a range of another tenant than %s %v: the cluster's IPAM does not keep to them",
				addr, b.config.Tenant, b.config.Peers)
		case own && !denied:
			return false, fmt.Errorf("the pod's address %s lies in no denied range %v: other tenants could not tell it from the outside",
				addr, b.config.Denied)
		}
		found = found || own
	}
	return found, nil
}

func (b builder) table(open bool) Table {
	table := Table{
		Family: b.family,
		Peers:  b.set(peersSet, b.peers, nil),
		Hooks: []Hook{
			{"INPUT", []Rule{{Target: "-g " + input, Intent: "L7: every packet in, before any other rule"}}},
			{"OUTPUT", []Rule{{Target: "-g " + output, Intent: "L7: every packet out, before any other rule"}}},
			{"FORWARD", []Rule{{Target: "-g " + forward, Intent: "L7 P12: every packet through, before any other rule"}}},
		},
		Chains: b.closed(),
	}
	if b.config.Addressing == config.Identity {
		table.Peers, table.Others = b.liveSets()
	}
	if open {
		table.Chains = b.open()
		table.Hooks[0].Rules = append(b.shortcut("-s", "-d", "src"), table.Hooks[0].Rules...)
		table.Hooks[1].Rules = append(b.shortcut("-d", "-s", "dst"), table.Hooks[1].Rules...)
	}
	table.Chains = append(table.Chains, b.ends(table.Chains)...)
	return table
}

// peersSet is the name of the set of peers, without the family.
const peersSet = "peers"

func (b builder) set(name string, members, exceptions []netip.Prefix) Set {
	return Set{Name: b.setName(name), Family: b.family, Members: members, Exceptions: exceptions}
}

func (b builder) setName(name string) string {
	return fmt.Sprintf("bulkhead-%s-%d", name, int(b.family))
}

// inSet matches packets whose "src" or "dst" is in a set.
func (b builder) inSet(name, side string) string {
	return "-m set --match-set " + b.setName(name) + " " + side
}

// global leaves out the addresses that every interface has.
func global(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), netip.Addr.IsLinkLocalUnicast)
}

func holds(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
