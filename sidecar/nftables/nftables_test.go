//go:build linux

package nftables

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink/nfnetlinktest"
)

func seen(t *testing.T) *Snapshot {
	t.Helper()
	found, err := (&Kernel{}).Look()
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestGuardAndLift(t *testing.T) {
	nfnetlinktest.Namespace(t)
	kernel := &Kernel{}
	guard := func(want Guard) {
		t.Helper()
		if got := seen(t).Guard; got != want {
			t.Errorf("guard %v, want %v", got, want)
		}
	}
	guard(GuardAbsent)
	for range 3 { // made, left alone, woken
		if err := kernel.Guard(); err != nil {
			t.Fatal(err)
		}
		guard(GuardStanding)
		if err := kernel.Guard(); err != nil {
			t.Fatal(err)
		}
		generation, err := kernel.Generation()
		if err != nil {
			t.Fatal(err)
		}
		after, err := kernel.Lift(generation)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := kernel.Generation(); err != nil || now != after {
			t.Errorf("generation %d after the lift, foretold was %d, %v", now, after, err)
		}
		guard(GuardResting)
	}
	for range 3 { // resting, gone, gone
		if err := kernel.Wake(); err != nil {
			t.Fatal(err)
		}
		guard(GuardStanding)
		nfnetlinktest.Run(t, "nft", "nft flush ruleset")
	}
	for _, spoil := range []string{
		"nft add rule inet bulkhead-guard L8-input accept",
		"nft delete chain inet bulkhead-guard L8-forward",
		"nft 'add chain inet bulkhead-guard L8-output { policy accept; }'",
		"nft add chain inet bulkhead-guard other",
	} {
		if err := kernel.Guard(); err != nil {
			t.Fatal(err)
		}
		nfnetlinktest.Run(t, "nft", spoil)
		guard(GuardSpoilt)
		if err := kernel.Guard(); err != nil {
			t.Fatal(err)
		}
		guard(GuardStanding)
	}
}

// TestLiftOfAnotherRuleset holds that the guard stays if anything changed since the
// ruleset was read.
func TestLiftOfAnotherRuleset(t *testing.T) {
	nfnetlinktest.Namespace(t)
	if err := (&Kernel{}).Guard(); err != nil {
		t.Fatal(err)
	}
	generation := seen(t).Generation
	nfnetlinktest.Run(t, "nft", "nft add table ip other")
	if _, err := (&Kernel{}).Lift(generation); !errors.Is(err, unix.ERESTART) {
		t.Errorf("lifted: %v", err)
	}
	if got := seen(t).Guard; got != GuardStanding {
		t.Errorf("guard %v", got)
	}
}

// TestDigests holds what changes a digest: a rule's words and comment, and not its
// counters.
func TestDigests(t *testing.T) {
	nfnetlinktest.Namespace(t)
	nfnetlinktest.Run(t, "iptables-nft", `ip link set lo up
		iptables-nft -A INPUT -s 127.0.0.1/32 -m comment --comment one -j ACCEPT
		iptables-nft -A INPUT -s 127.0.0.1/32 -m comment --comment two -j ACCEPT
		iptables-nft -A INPUT -s 127.0.0.2/32 -m comment --comment one -j ACCEPT
		iptables-nft -A INPUT -s 127.0.0.1/32 -m comment --comment one -j DROP`)
	before := seen(t).Filter[unix.NFPROTO_IPV4].Chains["INPUT"]
	if before.Base != "filter 1 0" || before.Drop || len(before.Rules) != 4 {
		t.Fatalf("INPUT is %+v", before)
	}
	digests := map[[16]byte]int{}
	for i, rule := range before.Rules {
		if other, ok := digests[rule.Digest]; ok {
			t.Errorf("rules %d and %d have one digest", other, i)
		}
		digests[rule.Digest] = i
	}
	nfnetlinktest.Run(t, "ping", "ping -c 1 -W 1 127.0.0.1; iptables-nft -P INPUT DROP")
	after := seen(t).Filter[unix.NFPROTO_IPV4].Chains["INPUT"]
	if after.Rules[0].Packets != 2 || after.Rules[0].Bytes != 2*84 || after.Rules[0].Digest != before.Rules[0].Digest {
		t.Errorf("the first rule is %+v, was %+v", after.Rules[0], before.Rules[0])
	}
	if !after.Drop {
		t.Error("the policy is not seen")
	}
	nfnetlinktest.Run(t, "nft", "nft add table ip filter '{ flags dormant; }'")
	if flags := seen(t).Filter[unix.NFPROTO_IPV4].Flags; flags != unix.NFT_TABLE_F_DORMANT {
		t.Errorf("flags %#x", flags)
	}
}

func TestFilterTables(t *testing.T) {
	nfnetlinktest.Namespace(t)
	for _, family := range []uint8{unix.NFPROTO_IPV4, unix.NFPROTO_IPV6} {
		if err := (&Kernel{}).MakeFilter(family); err != nil {
			t.Fatal(err)
		}
	}
	// iptables takes the table for its own.
	for _, tool := range []string{"iptables-nft", "ip6tables-nft"} {
		got := nfnetlinktest.Run(t, tool, tool+" -A INPUT -j ACCEPT; "+tool+" -S")
		if want := "-P INPUT DROP\n-P FORWARD DROP\n-P OUTPUT DROP\n-A INPUT -j ACCEPT\n"; got != want {
			t.Errorf("%s: got %q, want %q", tool, got, want)
		}
	}
	if err := (&Kernel{}).RemoveFilter(unix.NFPROTO_IPV4); err != nil {
		t.Fatal(err)
	}
	if found := seen(t); found.Filter[unix.NFPROTO_IPV4] != nil || found.Filter[unix.NFPROTO_IPV6] == nil {
		t.Errorf("left are %v", found.Filter)
	}
}

func TestUnsafe(t *testing.T) {
	cases := map[string]struct{ command, want string }{
		"nothing":        {"true", ""},
		"redirect":       {"iptables-nft -t nat -A OUTPUT -p tcp -j REDIRECT --to-ports 15001", ""},
		"DNAT":           {"iptables-nft -t nat -A PREROUTING -p tcp -j DNAT --to-destination 127.0.0.1:1", ""},
		"native DNAT":    {"nft 'add table ip x; add chain ip x p { type nat hook prerouting priority -100; }; add rule ip x p dnat to 10.0.0.1'", ""},
		"masquerade":     {"iptables-nft -t nat -A POSTROUTING -j MASQUERADE", ""},
		"accept":         {"nft 'add table inet x; add chain inet x p { type filter hook input priority -300; }; add rule inet x p ip saddr 10.0.0.1 counter accept'", ""},
		"mark":           {"nft 'add table inet x; add chain inet x p { type filter hook input priority -300; }; add rule inet x p meta mark set 1'", ""},
		"SNAT":           {"iptables-nft -t nat -A POSTROUTING -j SNAT --to-source 10.0.0.1", "in chain POSTROUTING of table ip nat"},
		"native SNAT":    {"nft 'add table ip6 x; add chain ip6 x p { type nat hook postrouting priority 100; }; add rule ip6 x p snat to fd00::1'", "SNAT in chain p of table ip6 x"},
		"payload":        {"nft 'add table inet x; add chain inet x p { type filter hook prerouting priority -300; }; add rule inet x p ip saddr set 10.0.0.1'", "a rewritten packet in chain p of table inet x"},
		"fwd":            {"nft 'add table netdev x; add chain netdev x p { type filter hook ingress device lo priority 0; }; add rule netdev x p fwd to lo'", "fwd in chain p of table netdev x"},
		"SET":            {"ipset create s hash:net; iptables-nft -t mangle -A PREROUTING -j SET --add-set s src", "SET in chain PREROUTING of table ip mangle"},
		"beside ours":    {"nft 'add table ip filter; add chain ip filter p { type nat hook postrouting priority 100; }; add rule ip filter p snat to 10.0.0.1'", "SNAT in chain p of table ip filter"},
		"in a built-in":  {"iptables-nft -A INPUT -j NFQUEUE", ""}, // stands behind ours, or is repaired
		"not hooked yet": {"nft 'add table ip x; add chain ip x p; add rule ip x p ip saddr set 10.0.0.1'", "a rewritten packet"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			nfnetlinktest.Namespace(t)
			nfnetlinktest.Run(t, "nft", "ip link set lo up; "+test.command)
			if got := strings.Join(seen(t).Unsafe, "; "); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// BenchmarkLook is what every look costs that does not find the generation of the last
// one; BenchmarkGuard is that and a guard that is woken and put to rest.
func BenchmarkLook(b *testing.B) {
	nfnetlinktest.Namespace(b)
	kernel := &Kernel{}
	for b.Loop() {
		if _, err := kernel.Look(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGuard(b *testing.B) {
	nfnetlinktest.Namespace(b)
	kernel := &Kernel{}
	for b.Loop() {
		if err := kernel.Guard(); err != nil {
			b.Fatal(err)
		}
		generation, err := kernel.Generation()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := kernel.Lift(generation); err != nil {
			b.Fatal(err)
		}
	}
}
