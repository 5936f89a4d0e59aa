package cluster

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestAggregate(t *testing.T) {
	for name, test := range map[string]struct{ ranges, want []netip.Prefix }{
		"none":            {nil, nil},
		"nodes in a row":  {prefixes("10.244.1.0/24", "10.244.0.0/24", "10.244.3.0/24", "10.244.2.0/24"), prefixes("10.244.0.0/22")},
		"not a pair":      {prefixes("10.244.1.0/24", "10.244.2.0/24"), prefixes("10.244.1.0/24", "10.244.2.0/24")},
		"one in another":  {prefixes("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/24"), prefixes("10.0.0.0/8")},
		"twice":           {prefixes("10.1.0.0/16", "10.1.0.0/16"), prefixes("10.1.0.0/16")},
		"both families":   {prefixes("fd00::/65", "10.0.0.0/9", "10.128.0.0/9", "fd00::8000:0:0:0/65"), prefixes("10.0.0.0/8", "fd00::/64")},
		"never all":       {prefixes("0.0.0.0/1", "128.0.0.0/1"), prefixes("0.0.0.0/1", "128.0.0.0/1")},
		"single hosts":    {prefixes("192.168.0.2/32", "192.168.0.3/32", "192.168.0.5/32"), prefixes("192.168.0.2/31", "192.168.0.5/32")},
		"by several ways": {prefixes("10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/25"), prefixes("10.0.0.0/24")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := aggregate(test.ranges); !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// TestAggregateIsExact: the same addresses, in ranges none of which can be joined.
func TestAggregateIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for range 500 {
		var ranges []netip.Prefix
		for range random.IntN(40) {
			address := netip.AddrFrom4([4]byte{10, 0, 0, byte(random.IntN(256))})
			ranges = append(ranges, netip.PrefixFrom(address, 25+random.IntN(8)).Masked())
		}
		got := aggregate(ranges)
		for i := range 256 {
			address := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			within := func(p netip.Prefix) bool { return p.Contains(address) }
			if slices.ContainsFunc(ranges, within) != slices.ContainsFunc(got, within) {
				t.Fatalf("%s differs between %v and %v", address, ranges, got)
			}
		}
		if again := aggregate(got); !slices.Equal(got, again) {
			t.Fatalf("%v is not as few as %v", got, again)
		}
	}
}

func TestRanges(t *testing.T) {
	first := node{"n", prefixes("10.244.0.0/24"), []netip.Addr{netip.MustParseAddr("192.168.0.1")}}
	services := map[string][]netip.Prefix{"kubernetes": prefixes("10.96.0.0/12")}
	many := map[string]node{}
	for i := range 2*protocol.MaxRanges + 1 {
		many[fmt.Sprint(i)] = node{name: fmt.Sprint(i), pods: first.pods, addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 168, byte(i >> 7), byte(2 * i)})}}
	}
	for name, test := range map[string]struct {
		configured Ranges
		nodes      map[string]node
		services   map[string][]netip.Prefix
		want       protocol.Cluster
		err        string
	}{
		"detected": {nodes: map[string]node{"n": first}, services: services,
			want: protocol.Cluster{Pods: first.pods, Services: services["kubernetes"], Nodes: prefixes("192.168.0.1/32")}},
		"configured": {configured: Ranges{Pods: prefixes("10.1.0.0/16"), Services: prefixes("10.2.0.0/16"), Nodes: prefixes("10.3.0.0/16"), Tenants: prefixes("10.4.0.0/16")},
			nodes: map[string]node{"n": first}, services: services,
			want: protocol.Cluster{Pods: prefixes("10.1.0.0/16", "10.4.0.0/16"), Services: prefixes("10.2.0.0/16")}},
		"nothing":         {err: "set cluster.podCIDRs"},
		"no podCIDRs":     {nodes: map[string]node{"n": {name: "n", addresses: first.addresses}}, services: services, err: "set cluster.podCIDRs"},
		"no ServiceCIDRs": {nodes: map[string]node{"n": first}, err: "set cluster.serviceCIDRs"},
		"many nodes":      {nodes: many, services: services, err: "set cluster.nodeCIDRs"},
		"many nodes whose ranges are configured": {configured: Ranges{Nodes: prefixes("192.168.0.0/16")}, nodes: many, services: services,
			want: protocol.Cluster{Pods: first.pods, Services: services["kubernetes"]}},
	} {
		t.Run(name, func(t *testing.T) {
			store := peers.NewStore(peers.Options{})
			d := &detector{configured: test.configured, store: store, nodes: test.nodes, services: test.services}
			d.tell()
			if test.err != "" {
				if err := store.RangesKnown(); err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			got := store.Ranges()
			if err := store.RangesKnown(); err != nil || !slices.Equal(got.Pods, test.want.Pods) || !slices.Equal(got.Services, test.want.Services) {
				t.Errorf("%+v, %v", got, err)
			}
			if len(test.want.Nodes) > 0 && !slices.Equal(got.Nodes, test.want.Nodes) {
				t.Errorf("nodes %v", got.Nodes)
			}
		})
	}
}
