//go:build linux

package peers

import (
	"slices"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// TestRenewed holds that the next life is left a note of the lease with each line of the
// stream that renews it, and with no other.
func TestRenewed(t *testing.T) {
	in(t, false, func(b *bench) {
		var leases []time.Duration
		b.Renewed = func(lease time.Duration) { leases = append(leases, lease) }
		noted := func(want ...time.Duration) {
			t.Helper()
			if !slices.Equal(leases, want) {
				t.Errorf("noted %v, want %v", leases, want)
			}
			leases = nil
		}
		s := b.accept()
		s.tell(protocol.ToSidecar{Held: &protocol.Held{Reason: "wait"}})
		whole := snapshot(1, "10.244.0.8")
		whole.Snapshot.More = true
		s.tell(whole)
		noted()
		s.tell(snapshot(1, "10.244.0.9"))
		noted(lease)
		s.heartbeat(1)
		s.tell(protocol.ToSidecar{Delta: &protocol.Delta{Version: 2, Remove: addresses("10.244.0.9")}})
		noted(lease, lease)
		_ = s.Close()
		s = b.accept()
		s.tell(protocol.ToSidecar{Held: &protocol.Held{Reason: "wait"}})
		s.heartbeat(0)
		noted()
		shorter := snapshot(1, "10.244.0.8")
		shorter.Snapshot.LeaseMilliseconds = 3000
		s.tell(shorter)
		noted(3 * time.Second)
	})
}
