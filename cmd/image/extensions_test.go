package main

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// everything are configurations that between them make every kind of rule.
func everything() []config.Config {
	base := config.Config{
		Version: config.Version,
		Tenant:  "alice",
		Peers:   []netip.Prefix{netip.MustParsePrefix("172.16.1.0/24"), netip.MustParsePrefix("fd00:1::/64")},
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16"), netip.MustParsePrefix("fd00::/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24"), netip.MustParsePrefix("fd10::/64")},
		System:  []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
		Probes:  []config.Port{80, 443},
	}
	var all []config.Config
	for _, action := range []config.Action{config.Allow, config.Deny} {
		c := base
		c.Egress = config.Egress{Metadata: action, Nodes: action, External: action}
		all = append(all, c)
	}
	return all
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
	}
	want := []string{"libxt_standard.so"}
	matches, targets := regexp.MustCompile(`-m (\S+)`), regexp.MustCompile(`^-[jg] (ACCEPT|DROP|RETURN|NFLOG .*|BULKHEAD-[A-Z0-9-]+)$`)
	for _, c := range everything() {
		plan, err := rules.Build(&c, pod, nil)
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
