package main

import (
	"encoding/pem"
	"net/http/httptest"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// world is what rules are made of, beside the pod.
type world struct {
	config config.Config
	live   *rules.Live
}

// everything are worlds that between them make every kind of rule.
func everything(t *testing.T) []world {
	t.Helper()
	fixed := config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Peers:   []netip.Prefix{netip.MustParsePrefix("172.16.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("fd00::/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24"), netip.MustParsePrefix("fd10::/64")},
		System:  []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		Probes:  []config.Port{80, 443},
	}
	live := config.Config{
		Version:      config.Version,
		Tenant:       "alice",
		Addressing:   config.Identity,
		WhenFeedGone: config.Keep,
		Feed:         &config.Feed{Address: netip.MustParseAddrPort("10.96.0.9:443"), ServerName: "bulkhead-feed", CA: authority(t)},
		Probes:       []config.Port{80, 443},
	}
	told := rules.Live{
		Cluster: protocol.Cluster{
			Pods:     []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("fd00::/16")},
			Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
			Nodes:    []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24")},
		},
		Peers:  []netip.Addr{netip.MustParseAddr("172.16.1.3")},
		Denied: []netip.Addr{netip.MustParseAddr("203.0.113.7")},
		Open: []protocol.Open{
			{Address: netip.MustParseAddr("172.16.1.2"), Protocol: "sctp", Port: 36412},
			{Address: netip.MustParseAddr("172.16.1.2"), Protocol: "tcp", Port: 8080},
			{Address: netip.MustParseAddr("172.16.1.2"), Protocol: "udp", Port: 5353},
		},
	}
	lapsed := told
	lapsed.Lapsed = true
	var all []world
	for _, action := range []config.Action{config.Allow, config.Deny} {
		egress := config.Egress{Metadata: action, Nodes: action, External: action}
		fixed.Egress, live.Egress = egress, egress
		all = append(all, world{fixed, nil}, world{live, nil}, world{live, &told}, world{live, &lapsed})
	}
	return all
}

// authority is some certificate in PEM.
func authority(t *testing.T) string {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestExtensionsAreThoseOfTheRules: none is missing and none is left over.
func TestExtensionsAreThoseOfTheRules(t *testing.T) {
	pod := rules.Pod{
		Addresses: []netip.Addr{netip.MustParseAddr("172.16.1.2"), netip.MustParseAddr("fd00:1::2"), netip.MustParseAddr("fe80::2")},
		Gateways:  []netip.Addr{netip.MustParseAddr("172.16.1.1"), netip.MustParseAddr("fe80::1")},
		IPv6:      true,
		Log:       true,
	}
	files := map[string]string{ // by the word after -m
		"comment": "libxt_comment.so", "icmp": "libipt_icmp.so", "icmp6": "libip6t_icmp6.so",
		"limit": "libxt_limit.so", "multiport": "libxt_multiport.so", "set": "libxt_set.so", "tcp": "libxt_tcp.so",
		"udp": "libxt_udp.so",
	}
	want := []string{"libxt_standard.so"}
	matches, targets := regexp.MustCompile(`-m (\S+)`), regexp.MustCompile(`^-[jg] (ACCEPT|DROP|RETURN|NFLOG .*|BULKHEAD-[A-Z0-9-]+)$`)
	for _, w := range everything(t) {
		plan, err := rules.Build(&w.config, pod, w.live)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range plan.Tables {
			for _, chain := range table.Chains {
				for _, rule := range chain.Rules {
					if !targets.MatchString(rule.Target) {
						t.Errorf("rule %q has a target of an extension that this test does not know", rule.Spec())
					}
					if strings.HasPrefix(rule.Target, "-j NFLOG ") {
						want = append(want, "libxt_NFLOG.so")
					}
					for _, found := range matches.FindAllStringSubmatch(rule.Spec(), -1) {
						if files[found[1]] == "" {
							t.Errorf("rule %q has a match that this test does not know", rule.Spec())
						}
						want = append(want, files[found[1]])
					}
				}
			}
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(slices.Compact(want), extensions()); diff != "" {
		t.Error("extensions (-rules +image):\n", diff)
	}
}
