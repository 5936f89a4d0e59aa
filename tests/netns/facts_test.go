//go:build linux

package netns

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	podfacts "github.com/bulkhead-dev/bulkhead/sidecar/pod"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
	"github.com/bulkhead-dev/bulkhead/sidecar/watch"
)

// TestFacts holds that every address of every interface is seen, and every next
// hop of every table: what is missed is neither pinned nor held to be the node.
func TestFacts(t *testing.T) {
	needs(t)
	t.Parallel()
	n, beside := newNamespace(t, "facts"), newNamespace(t, "beside")
	wire(t, n, "eth0", beside, "beside0")
	wire(t, n, "net1", beside, "beside1")
	n.sh(t, `ip link set eth0 addrgenmode none; ip link set net1 addrgenmode none
		ip -6 addr flush dev eth0; ip -6 addr flush dev net1
		ip addr add 172.16.1.7/24 dev eth0; ip addr add 172.16.1.8/24 dev eth0
		ip addr add 10.0.0.1 peer 10.0.0.2 dev net1; ip addr add 192.0.2.1/32 dev lo
		ip -6 addr add fd10:1::7/64 dev eth0 nodad; ip -6 addr add fe80::7/64 dev net1 nodad
		ip route add default via 172.16.1.1
		ip route add default via 172.16.1.2 table 100
		ip route add 198.51.100.0/24 nexthop via 172.16.1.3 nexthop via 172.16.1.4
		ip route add 203.0.113.0/24 via inet6 fe80::5 dev net1
		ip route add 169.254.1.1 dev eth0 scope link
		ip -6 route add default via fd10:1::1
		ip -6 route add 2001:db8::/32 nexthop via fd10:1::2 nexthop via fe80::6 dev net1`)
	var found rules.Pod
	n.must(t, func() (err error) {
		found, err = podfacts.Read()
		return err
	})
	want := rules.Pod{
		Addresses: addrs("10.0.0.1", "172.16.1.7", "172.16.1.8", "192.0.2.1", "fd10:1::7", "fe80::7"),
		Gateways:  addrs("172.16.1.1", "172.16.1.2", "172.16.1.3", "172.16.1.4", "fd10:1::1", "fd10:1::2", "fe80::5", "fe80::6"),
		IPv6:      true,
	}
	if diff := cmp.Diff(want, found, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("facts (-want +got):\n%s", diff)
	}
}

func addrs(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// TestChanges holds what wakes the sidecar and what cannot: reading the rules, or
// it would wake itself for ever, and an ipset.
func TestChanges(t *testing.T) {
	needs(t)
	t.Parallel()
	n := newNamespace(t, "watched")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var changes <-chan struct{}
	n.must(t, func() (err error) {
		changes, err = watch.Changes(ctx)
		return err
	})
	woken := func(wait time.Duration) bool {
		select {
		case _, open := <-changes:
			return open
		case <-time.After(wait):
			return false
		}
	}
	for _, change := range []string{
		"iptables-nft -N FOREIGN", "ip6tables-nft -N FOREIGN", "iptables-nft -A FOREIGN -j DROP", "iptables-nft -P INPUT DROP",
		"ip addr add 192.0.2.1/32 dev lo", "ip addr del 192.0.2.1/32 dev lo", "ip -6 addr add fd00::1/128 dev lo", "ip route add 198.51.100.0/24 dev lo",
	} {
		for woken(50 * time.Millisecond) { // what the change before still had to say
		}
		n.sh(t, change)
		if !woken(patience) {
			t.Errorf("%s wakes nobody", change)
		}
	}
	for woken(silence) {
	}
	for _, quiet := range []string{"iptables-nft -S; ip6tables-nft -S; ipset save", "ipset create other hash:net; ipset add other 10.0.0.0/8"} {
		n.sh(t, quiet)
		if woken(silence) {
			t.Errorf("%s raises an event", quiet)
		}
	}
	cancel()
	select {
	case _, open := <-changes:
		if open {
			t.Error("woken by the end")
		}
	case <-time.After(patience):
		t.Error("the channel is not closed at the end")
	}
}
