package rules

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// alice is a tenant in both families, with the defaults of a Tenant's egress.
func alice() *config.Config {
	return &config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Peers:   prefixes("172.16.1.0/24", "fd00:1::/64"),
		Denied:  prefixes("172.16.0.0/16", "fd00::/16"),
		Nodes:   prefixes("10.250.0.0/24", "fd01::/64"),
		System:  prefixes("10.244.0.0/16", "10.96.0.0/12", "fd02::/48"),
		Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		Probes:  []config.Port{8080},
	}
}

// identity makes a configuration one of addressing by identity.
func identity(c *config.Config) {
	c.Addressing, c.WhenFeedGone = config.Identity, config.Keep
	c.Peers, c.Denied, c.Nodes, c.System = nil, nil, nil, nil
	c.Feed = &config.Feed{Address: netip.MustParseAddrPort("10.96.7.7:443"), ServerName: "bulkhead-feed.bulkhead-system.svc", CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}
}

// told is what the feed tells, and some of what it would not: peers that are none.
func told() *Live {
	return &Live{
		Cluster: protocol.Cluster{
			Pods:     prefixes("172.16.0.0/16", "fd00:1::/48"),
			Services: prefixes("10.96.0.0/12", "fd02::/112"),
			Nodes:    prefixes("10.250.0.0/24", "172.16.9.9/32", "fd01::/64"),
		},
		Peers: addresses("1.1.1.1", "10.96.0.10", "10.250.0.7", "172.16.1.1", "172.16.1.7", "172.16.1.8", "172.16.9.9",
			"2001:db8::1", "fd00:1::7", "fd00:1::8", "fd02::10"),
		Denied: addresses("203.0.113.7", "2001:db8::7"),
	}
}

func dualStack() Pod {
	return Pod{
		Addresses: addresses("172.16.1.7", "fd00:1::7", "fe80::7"),
		Gateways:  addresses("172.16.1.1", "fe80::1"),
		IPv6:      true,
		Log:       true,
	}
}

func TestBuildGolden(t *testing.T) {
	cases := map[string]struct {
		config func(*config.Config)
		pod    func(*Pod)
		live   func(*Live) // with addressing by identity
	}{
		"identity":                 {config: identity, live: func(*Live) {}},
		"identity-before-the-feed": {config: identity},
		"identity-lapsed-keep":     {config: identity, live: func(l *Live) { l.Lapsed = true }},
		"identity-lapsed-close": {
			config: func(c *config.Config) { identity(c); c.WhenFeedGone = config.Close },
			live:   func(l *Live) { l.Lapsed = true },
		},
		"identity-public-ports": {config: identity, live: func(l *Live) {
			for i, protocolName := range protocol.Protocols() {
				for _, addr := range addresses("172.16.1.7", "fd00:1::7", "172.16.1.8") {
					l.Open = append(l.Open, protocol.Open{Address: addr, Protocol: protocolName, Port: uint16(8000 + i)})
				}
			}
		}},
		"identity-egress-all-allowed": {live: func(*Live) {}, config: func(c *config.Config) {
			identity(c)
			c.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Allow}
		}},
		"identity-egress-all-denied": {live: func(*Live) {}, config: func(c *config.Config) {
			identity(c)
			c.Egress = config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Deny}
		}},
		"identity-one-family-outside-the-pod-ranges": {config: identity, live: func(l *Live) { l.Cluster.Pods = prefixes("172.16.0.0/16") }},
		"identity-ipv4-only":                         {config: identity, live: func(*Live) {}, pod: func(p *Pod) { p.Addresses = addresses("172.16.1.7", "fe80::7") }},
		"dual-stack":                                 {},
		"ipv4-only": {
			pod: func(p *Pod) { p.Addresses = addresses("172.16.1.7", "fe80::7") },
		},
		"ipv6-only": {
			pod: func(p *Pod) { p.Addresses = addresses("fd00:1::7", "fe80::7") },
		},
		"no-ipv6-in-kernel": {
			pod: func(p *Pod) {
				p.Addresses, p.Gateways, p.IPv6 = addresses("172.16.1.7"), addresses("172.16.1.1"), false
			},
		},
		"no-address-yet": {
			pod: func(p *Pod) { p.Addresses, p.Gateways = nil, nil },
		},
		"second-interface": {
			pod: func(p *Pod) { p.Addresses = append(p.Addresses, addresses("192.168.5.9")...) },
		},
		"egress-all-allowed": {
			config: func(c *config.Config) {
				c.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Allow}
			},
		},
		"egress-all-denied": {
			config: func(c *config.Config) {
				c.Egress = config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Deny}
			},
		},
		"no-probes": {
			config: func(c *config.Config) { c.Probes = nil },
		},
		"kernel-without-log": {
			pod: func(p *Pod) { p.Log = false },
		},
		"feed": {
			config: func(c *config.Config) {
				c.Feed = &config.Feed{Address: netip.MustParseAddrPort("10.96.7.7:443"), ServerName: "bulkhead-feed.bulkhead-system.svc", CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}
				c.Egress.External = config.Deny
			},
		},
		"several-ranges": {
			config: func(c *config.Config) {
				c.Peers = prefixes("172.16.1.0/24", "172.16.9.0/28", "fd00:1::/64", "fd00:9::/64")
			},
			pod: func(p *Pod) { p.Gateways = addresses("169.254.1.1", "fe80::1") },
		},
		"nodes-among-peers": {
			config: func(c *config.Config) { c.Nodes = prefixes("172.16.1.128/28", "fd01::/64") },
		},
		"everything-denied": {
			config: func(c *config.Config) { c.Denied = prefixes("0.0.0.0/0", "::/0") },
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c, pod := alice(), dualStack()
			if test.config != nil {
				test.config(c)
			}
			if test.pod != nil {
				test.pod(&pod)
			}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			var live *Live
			if test.live != nil {
				live = told()
				test.live(live)
			}
			plan, err := Build(c, pod, live)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, plan.String())
		})
	}
	if !*update {
		leftOver(t, len(cases))
	}
}

func TestBuildRefuses(t *testing.T) {
	cases := map[string]struct {
		config func(*config.Config)
		pod    func(*Pod)
		want   string
	}{
		"address of another tenant": {
			pod:  func(p *Pod) { p.Addresses = addresses("172.16.2.7") },
			want: "the pod's address 172.16.2.7 lies in a range of another tenant than alice",
		},
		"second address of another tenant": {
			pod:  func(p *Pod) { p.Addresses = addresses("172.16.1.7", "fd00:2::7") },
			want: "the pod's address fd00:2::7 lies in a range of another tenant than alice",
		},
		"IPAM without tenants": {
			pod:  func(p *Pod) { p.Addresses = addresses("10.244.0.7", "fe80::7") },
			want: "no address of the pod [10.244.0.7] lies in the ranges of tenant alice",
		},
		"own range is not denied to others": {
			config: func(c *config.Config) { c.Denied = prefixes("172.17.0.0/16", "fd00::/16") },
			want:   "the pod's address 172.16.1.7 lies in no denied range",
		},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c, pod := alice(), dualStack()
			if test.config != nil {
				test.config(c)
			}
			if test.pod != nil {
				test.pod(&pod)
			}
			_, err := Build(c, pod, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// TestEveryRuleSaysWhy holds that a rule's comment names a threat or a field of
// the configuration, and that iptables prints it back as it is written.
// TestTheFeedChangesNoRule holds that what the feed tells, but the pod's own public
// ports, changes the members of sets and nothing else: rules that change take a guard,
// in every pod of the cluster when a node joins or the feed is gone.
func TestTheFeedChangesNoRule(t *testing.T) {
	c := alice()
	identity(c)
	rulesOf := func(live *Live) Plan {
		plan, err := Build(c, dualStack(), live)
		if err != nil {
			t.Fatal(err)
		}
		for i := range plan.Tables {
			plan.Tables[i].Peers.Members = nil
			for j := range plan.Tables[i].Others {
				plan.Tables[i].Others[j].Members, plan.Tables[i].Others[j].Exceptions = nil, nil
			}
		}
		return plan
	}
	before := rulesOf(nil)
	for name, change := range map[string]func(*Live){
		"snapshot": func(*Live) {},
		"lapse":    func(l *Live) { l.Lapsed = true },
		"more nodes": func(l *Live) {
			l.Cluster.Nodes = append(l.Cluster.Nodes, prefixes("10.251.0.0/24", "172.16.0.0/30")...)
		},
		"more pods": func(l *Live) { l.Cluster.Pods = append(l.Cluster.Pods, prefixes("10.250.0.0/16", "128.0.0.0/1")...) },
		"no peers":  func(l *Live) { l.Peers = nil },
		"others' ports": func(l *Live) {
			l.Open = []protocol.Open{{Address: addresses("172.16.1.8")[0], Protocol: "tcp", Port: 80}}
		},
		"gateways as peer": func(l *Live) { l.Peers = addresses("172.16.1.1") },
		"one family":       func(l *Live) { l.Cluster.Pods = prefixes("172.16.0.0/16") },
	} {
		live := told()
		change(live)
		if diff := cmp.Diff(before.String(), rulesOf(live).String()); diff != "" {
			t.Errorf("%s changes rules:\n%s", name, diff)
		}
	}
}

// TestWrongPodRanges holds that a pod which is in none of the cluster's pod ranges is an
// error that names both, and that before the feed has told, or without an address, none
// is.
func TestWrongPodRanges(t *testing.T) {
	c, pod := alice(), dualStack()
	identity(c)
	pod.Addresses = addresses("10.9.9.9", "fe80::7")
	if _, err := Build(c, pod, nil); err != nil {
		t.Error(err)
	}
	_, err := Build(c, pod, told())
	if err == nil || !strings.Contains(err.Error(), "[10.9.9.9]") || !strings.Contains(err.Error(), "172.16.0.0/16") || !strings.Contains(err.Error(), "cluster.podCIDRs") {
		t.Errorf("got %v", err)
	}
	pod.Addresses = addresses("fe80::7")
	if _, err := Build(c, pod, told()); err != nil {
		t.Error(err)
	}
}

func TestEveryRuleSaysWhy(t *testing.T) {
	intent := regexp.MustCompile(`^(([PSL][0-9]+ ?)+|egress\.[a-z]+): [A-Za-z0-9 ,.:()-]+$`)
	live, byIdentity := told(), alice()
	identity(byIdentity)
	byIdentity.Egress = config.Egress{Metadata: config.Allow, Nodes: config.Allow, External: config.Deny}
	for _, name := range protocol.Protocols() {
		live.Open = append(live.Open, protocol.Open{Address: addresses("172.16.1.7")[0], Protocol: name, Port: 80})
	}
	var tables []Table
	for c, live := range map[*config.Config]*Live{alice(): nil, byIdentity: live} {
		plan, err := Build(c, dualStack(), live)
		if err != nil {
			t.Fatal(err)
		}
		tables = append(tables, plan.Tables...)
	}
	for _, table := range tables {
		for _, chain := range table.Chains {
			if len(chain.Name) > 28 {
				t.Errorf("chain name %s is longer than xtables allows (28)", chain.Name)
			}
			for _, rule := range chain.Rules {
				if rule.Reason != "" && words()[rule.Reason] == "" {
					t.Errorf("%s %s: no word for the reason %s", table.Family, chain.Name, rule.Reason)
				}
				if !intent.MatchString(rule.Intent) || len(rule.Intent) > 255 {
					t.Errorf("%s %s: comment %q names no threat, or cannot be printed back", table.Family, chain.Name, rule.Intent)
				}
			}
		}
	}
}

// TestOrderOfGivenAddresses holds that the order in which the kernel lists
// addresses does not make another plan.
func TestOrderOfGivenAddresses(t *testing.T) {
	pod := dualStack()
	one, err := Build(alice(), pod, nil)
	if err != nil {
		t.Fatal(err)
	}
	pod.Addresses = addresses("fe80::7", "fd00:1::7", "172.16.1.7", "fd00:1::7")
	other, err := Build(alice(), pod, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(one.String(), other.String()); diff != "" {
		t.Errorf("plans differ:\n%s", diff)
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; write it with: go test ./sidecar/rules -update", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("rules differ from %s (-want +got):\n%s\nif the change is meant: go test ./sidecar/rules -update", path, diff)
	}
}

func leftOver(t *testing.T, want int) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != want {
		t.Errorf("%d golden files for %d cases: %v", len(files), want, files)
	}
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
