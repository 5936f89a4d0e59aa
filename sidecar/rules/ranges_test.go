package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestOverlap holds the search against a look at every prefix.
func TestOverlap(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	prefix := func() netip.Prefix {
		addr := netip.AddrFrom4([4]byte{10, byte(random.IntN(3)), byte(random.IntN(4)), byte(random.IntN(256))})
		return netip.PrefixFrom(addr, random.IntN(33)).Masked()
	}
	yes := 0
	for range 20_000 {
		var all []netip.Prefix
		for range random.IntN(6) {
			if p := prefix(); p.Bits() > 10 {
				all = append(all, p)
			}
		}
		asked := prefix()
		want := slices.ContainsFunc(all, asked.Overlaps)
		if got := newRanges(all).overlap(asked); got != want {
			t.Fatalf("%s and %v overlap: %v, want %v", asked, all, got, want)
		}
		if want {
			yes++
		}
	}
	if yes < 1000 {
		t.Errorf("only %d overlap: this test proves little", yes)
	}
}

// BenchmarkBuild is the plan of a pod with 100,000 peers.
func BenchmarkBuild(b *testing.B) {
	c := alice()
	for i := range 100_000 {
		c.Peers = append(c.Peers, netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 20 + byte(i>>16), byte(i >> 8), byte(i)}), 32))
	}
	c.Peers = newRanges(c.Peers)
	c.Denied = append(c.Denied, netip.MustParsePrefix("172.20.0.0/14"))
	pod := dualStack()
	for b.Loop() {
		if _, err := Build(c, pod, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBuildLive is what each word of the feed costs, by the number of peers.
func BenchmarkBuildLive(b *testing.B) {
	for _, count := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			c, live := alice(), told()
			identity(c)
			live.Peers = nil
			for i := range count {
				live.Peers = append(live.Peers, netip.AddrFrom4([4]byte{172, 16 + byte(i>>16), byte(i >> 8), byte(i)}))
			}
			live.Cluster.Pods = append(live.Cluster.Pods, prefixes("172.17.0.0/16")...)
			for b.Loop() {
				if _, err := Build(c, dualStack(), live); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
