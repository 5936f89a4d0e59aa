package specification

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// spare are the rules without which every packet fares the same, by words of their
// intent, and what they are there for.
func spare() map[string]string {
	return map[string]string{
		"the short way":          "speed: the chains behind accept the same packets",
		"told at a bounded rate": "the log",
		"told as that":           "the reason: the rule behind drops the same packets",
		"no alarm":               "the log: the rules behind drop the same packets, and tell of them",
	}
}

// TestEachRuleIsNeeded takes away each rule in turn: in one of the configurations at
// least the specification must notice, or the rule is spare and said to be. The
// built-in chains' policy, which is DROP as defence in depth, is no excuse for a rule.
func TestEachRuleIsNeeded(t *testing.T) {
	needed := map[string]bool{}
	seen := map[string]bool{}
	for name, c := range typical() {
		tables, err := build(t, c)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for family, table := range tables {
			m := mutation{Case: c, family: family, table: table, meets: map[place][]Packet{}}
			m.learn(t)
			for chain, all := range table.Chains {
				for i, rule := range all {
					words := fmt.Sprintf("%s %s %s", family, chain, rule.Text)
					why := reason(rule, seen)
					needed[words] = needed[words] || why != "" || m.needs(chain, i)
					if why != "" && m.needs(chain, i) {
						t.Errorf("%s: %s is said to be for %s only, and is missed", name, words, why)
					}
				}
			}
		}
	}
	for _, words := range slices.Sorted(maps.Keys(needed)) {
		if !needed[words] {
			t.Errorf("nobody misses %s", words)
		}
	}
	for words := range spare() {
		if !seen[words] {
			t.Errorf("no rule is for %q any longer", words)
		}
	}
}

// mutation is one table, and which packets meet which of its rules: only these can
// fare otherwise without it.
type mutation struct {
	Case
	family rules.Family
	table  *Ruleset
	meets  map[place][]Packet
}

type place struct {
	chain string
	rule  int
}

// sample is how many of a rule's packets are kept.
const sample = 3000

// learn holds that the whole table does as specified, that nothing is left to the
// built-in chains' policies, and keeps every so many of the packets of each rule.
func (m *mutation) learn(t *testing.T) {
	met := map[place]int{}
	for packet := range Classes(m.Case, m.family, m.table) {
		if m.differs(&packet) {
			t.Fatalf("%s: the specification allows it: %v, and it fares otherwise, or as the policy says:\n  %s",
				packet, Allowed(m.Case, packet), strings.Join(m.table.Way(packet), "\n  "))
		}
		m.table.run(string(packet.Direction), &packet, func(chain string, i int) {
			at := place{chain, i}
			met[at]++
			if len(m.meets[at]) < sample {
				m.meets[at] = append(m.meets[at], packet)
			} else if slot := (met[at] * 7919) % (7 * sample); slot < sample {
				m.meets[at][slot] = packet
			}
		}, 0)
	}
}

// differs says whether a packet fares otherwise than specified, or would under one of
// the two policies.
func (m *mutation) differs(p *Packet) bool {
	verdict := m.table.run(string(p.Direction), p, func(string, int) {}, 0)
	return verdict == "" || (verdict == "ACCEPT") != Allowed(m.Case, *p)
}

// needs says whether any of its packets fares otherwise without a rule.
func (m *mutation) needs(chain string, i int) bool {
	whole := m.table.Chains[chain]
	m.table.Chains[chain] = without(whole, i)
	defer func() { m.table.Chains[chain] = whole }()
	return slices.ContainsFunc(m.meets[place{chain, i}], func(p Packet) bool { return m.differs(&p) })
}

func reason(rule Rule, seen map[string]bool) string {
	for words, why := range spare() {
		if strings.Contains(rule.Intent, words) {
			seen[words] = true
			return why
		}
	}
	return ""
}

// typical are configurations that people have, each with rules that others lack.
func typical() map[string]Case {
	usual := func() Case {
		return Case{
			Config: &config.Config{
				Version: config.Version,
				Tenant:  "alice",
				Peers:   prefixes("172.16.1.0/24", "fd00:1::/64"),
				Denied:  prefixes("172.16.0.0/16", "fd00:1::/32", "fd00:2::/32"),
				Nodes:   prefixes("10.250.0.0/24", "fd01::/64"),
				System:  prefixes("10.244.0.0/16", "10.96.0.0/12", "fd02::/48"),
				Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
				Probes:  []config.Port{8080},
			},
			Pod: rules.Pod{
				Addresses: addresses("172.16.1.7", "192.168.5.9", "fd00:1::7", "fe80::7"),
				Gateways:  addresses("172.16.1.1", "fe80::1"),
				IPv6:      true,
				Log:       true,
			},
		}
	}
	all := map[string]Case{}
	add := func(name string, change func(*Case)) {
		c := usual()
		change(&c)
		all[name] = c
	}
	add("usual", func(*Case) {})
	add("IPv4 only", func(c *Case) { c.Pod.Addresses = addresses("172.16.1.7", "fe80::7") })
	add("no log in the kernel", func(c *Case) { c.Pod.Log = false })
	add("nodes among peers", func(c *Case) { c.Config.Nodes = prefixes("172.16.1.128/28", "fd00:1::80/121") })
	add("feed", func(c *Case) {
		c.Config.Feed = &config.Feed{Address: netip.MustParseAddrPort("10.250.0.5:443"), ServerName: "feed.example", CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}
	})
	add("all allowed", func(c *Case) {
		c.Config.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Allow}
	})
	add("only the cluster outside", func(c *Case) {
		c.Config.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Deny}
	})
	add("all denied", func(c *Case) {
		c.Config.Egress = config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Deny}
	})
	identity := func(c *Case) {
		c.Config.Addressing, c.Config.WhenFeedGone = config.Identity, config.Keep
		c.Config.Peers, c.Config.Denied, c.Config.Nodes, c.Config.System = nil, nil, nil, nil
		c.Config.Feed = &config.Feed{Address: netip.MustParseAddrPort("10.250.0.5:443"), ServerName: "feed.example", CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}
		c.Live = &rules.Live{
			Cluster: protocol.Cluster{
				Pods:     prefixes("172.16.0.0/16", "fd00:1::/32"),
				Services: prefixes("10.96.0.0/12", "fd02::/48"),
				Nodes:    prefixes("10.250.0.0/24", "fd01::/64"),
			},
			Peers:  addresses("10.96.0.10", "172.16.1.7", "172.16.1.8", "fd00:1::7", "fd00:1::8", "fd02::10"),
			Denied: addresses("203.0.113.7", "2001:db8::7"),
		}
	}
	add("identity with public ports, all allowed", func(c *Case) {
		identity(c)
		c.Config.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Allow}
		for _, addr := range addresses("172.16.1.7", "fd00:1::7") {
			for _, name := range protocol.Protocols() {
				c.Live.Open = append(c.Live.Open, protocol.Open{Address: addr, Protocol: name, Port: 8443})
			}
		}
	})
	add("identity, metadata alone allowed", func(c *Case) {
		identity(c)
		c.Config.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Deny, External: config.Deny}
	})
	add("identity lapsed, outside allowed", func(c *Case) {
		identity(c)
		c.Live.Lapsed = true
	})
	return all
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}
