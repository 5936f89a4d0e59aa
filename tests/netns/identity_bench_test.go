//go:build linux

package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// BenchmarkTold is the time from a word of the feed's to the acknowledgement that the
// kernel's set holds the address, and back, by the number of peers; and what memory the
// sidecar has then.
func BenchmarkTold(b *testing.B) {
	needs(b)
	for _, peers := range []int{10, 1_000, 10_000} {
		b.Run(fmt.Sprintf("%d peers", peers), func(b *testing.B) {
			l := newLab(b)
			f := l.feed(b)
			view := f.View("alice")
			view.Tell(snapshot(15*time.Second, l.alice1.both()...))
			s := l.alice1.run(b, f.identity("alice"))
			acked(b, view, 1)
			for part := range slices.Chunk(some(peers), 5000) {
				acked(b, view, view.Add(part...))
			}
			one := netip.MustParseAddr("172.16.99.99")
			var took []time.Duration
			for b.Loop() {
				start := time.Now()
				acked(b, view, view.Add(one))
				took = append(took, time.Since(start))
				acked(b, view, view.Remove(one))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
			busy := s.resident(b)
			time.Sleep(2 * time.Second)
			b.ReportMetric(busy, "MiB-RSS-busy")
			b.ReportMetric(s.resident(b), "MiB-RSS")
		})
	}
}

// BenchmarkInitByIdentity is BenchmarkInit with a feed that tells at once: what waiting
// for the peers adds, beside the token's file.
func BenchmarkInitByIdentity(b *testing.B) {
	needs(b)
	l := newLab(b)
	f := l.feed(b)
	f.View("alice").Tell(snapshot(long, append(l.alice1.both(), some(1000)...)...))
	for b.Loop() {
		b.StopTimer()
		l.alice1.sh(b, "nft flush ruleset; ipset destroy")
		b.StartTimer()
		l.alice1.protect(b, f.identity("alice"))
	}
}

// some are addresses of pods.
func some(count int) []netip.Addr {
	var all []netip.Addr
	for i := range count {
		all = append(all, netip.AddrFrom4([4]byte{10, 244, byte(i >> 8), byte(i)}))
	}
	return all
}
