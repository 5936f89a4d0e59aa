package webhook

import (
	"net/netip"
	"slices"
	"testing"
)

// Of many ranges only those are asked about that hold an address, but never none (A1).
func TestRelevantRanges(t *testing.T) {
	parse := func(texts ...string) (all []netip.Prefix) {
		for _, text := range texts {
			all = append(all, netip.MustParsePrefix(text))
		}
		return all
	}
	nodes := parse("192.168.0.1/32", "192.168.0.4/30", "fd00:1::/64")
	for name, test := range map[string]struct {
		ranges    []netip.Prefix
		addresses []string
		want      []netip.Prefix
	}{
		"one":        {nodes, []string{"8.8.8.8", "192.168.0.5"}, nodes[1:2]},
		"two":        {nodes, []string{"fd00:1::9", "192.168.0.1"}, []netip.Prefix{nodes[0], nodes[2]}},
		"none":       {nodes, []string{"8.8.8.8"}, nodes[:1]},
		"nobody":     {nodes, nil, nodes[:1]},
		"none known": {nil, []string{"8.8.8.8"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var addresses []netip.Addr
			for _, text := range test.addresses {
				addresses = append(addresses, netip.MustParseAddr(text))
			}
			if got := relevant(test.ranges, addresses); !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}
