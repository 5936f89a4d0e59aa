//go:build linux

package peers

import (
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// BenchmarkDelta is what a word of the feed costs until it can be planned, by the number
// of peers.
func BenchmarkDelta(b *testing.B) {
	for _, count := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(count), func(b *testing.B) {
			c := newClient(nil, nil, boottime, 0, slog.New(slog.NewTextHandler(io.Discard, nil)))
			var state protocol.State
			take := func(m protocol.ToSidecar) {
				if err := c.take(&state, &m, 1); err != nil {
					b.Fatal(err)
				}
			}
			take(snapshot(0))
			var version uint64
			change := func(delta protocol.Delta) {
				version++
				delta.Version = version
				take(protocol.ToSidecar{Delta: &delta})
			}
			for i := range count {
				change(protocol.Delta{Add: []netip.Addr{netip.AddrFrom4([4]byte{10, 244 + byte(i>>16), byte(i >> 8), byte(i)})}})
			}
			one := addresses("10.244.77.77")
			c.Told()
			for b.Loop() {
				change(protocol.Delta{Remove: one})
				c.Told()
				change(protocol.Delta{Add: one})
				c.Told()
			}
		})
	}
}
