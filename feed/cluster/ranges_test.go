package cluster

import (
	"net/netip"
	"slices"
	"testing"
)

// Ranges that are configured stand for what is seen, but nodes' for what cannot be.
func TestRanges(t *testing.T) {
	prefixes := func(texts ...string) []netip.Prefix {
		var all []netip.Prefix
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	seen := map[string]node{
		"a": {name: "a", pods: prefixes("10.244.0.0/24"), addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2")}},
		"b": {name: "b", pods: prefixes("10.244.1.0/24"), addresses: []netip.Addr{netip.MustParseAddr("10.0.0.3")}},
	}
	services := map[string][]netip.Prefix{"kubernetes": prefixes("10.96.0.0/16")}
	for name, test := range map[string]struct {
		configured            Ranges
		pods, services, nodes []netip.Prefix
	}{
		"nothing configured": {Ranges{}, prefixes("10.244.0.0/23"), prefixes("10.96.0.0/16"), prefixes("10.0.0.2/31")},
		"pods and Services": {Ranges{Pods: prefixes("10.128.0.0/9"), Services: prefixes("10.97.0.0/16")},
			prefixes("10.128.0.0/9"), prefixes("10.97.0.0/16"), prefixes("10.0.0.2/31")},
		"nodes, a bridge's too": {Ranges{Nodes: prefixes("10.0.0.0/24", "172.17.0.1/32")},
			prefixes("10.244.0.0/23"), prefixes("10.96.0.0/16"), prefixes("10.0.0.0/24", "172.17.0.1/32")},
		"a bridge alone": {Ranges{Nodes: prefixes("172.17.0.1/32")},
			prefixes("10.244.0.0/23"), prefixes("10.96.0.0/16"), prefixes("10.0.0.2/31", "172.17.0.1/32")},
		"tenants' are pods'": {Ranges{Tenants: prefixes("172.16.0.0/16")},
			prefixes("10.244.0.0/23", "172.16.0.0/16"), prefixes("10.96.0.0/16"), prefixes("10.0.0.2/31")},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := (&detector{configured: test.configured, nodes: seen, services: services}).ranges()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Pods, test.pods) || !slices.Equal(got.Services, test.services) || !slices.Equal(got.Nodes, test.nodes) {
				t.Errorf("%+v", got)
			}
		})
	}
	for name, known := range map[string]*detector{
		"no node":    {services: services},
		"no Service": {nodes: seen},
	} {
		if got, err := known.ranges(); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
