//go:build linux

package ipset

import (
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink/nfnetlinktest"
)

// TestNote holds that a note is there for its time, whoever asks, and that the next one
// takes its place, a shorter one too.
func TestNote(t *testing.T) {
	nfnetlinktest.Namespace(t)
	noted := func(from, to time.Duration) {
		t.Helper()
		if left, err := (&Sets{}).Noted("lease"); err != nil || left < from || left > to {
			t.Errorf("noted for %s, %v, want %s to %s", left, err, from, to)
		}
	}
	noted(0, 0)
	must(t, (&Sets{}).Note("lease", 2*time.Hour))
	noted(time.Hour, 2*time.Hour)
	must(t, (&Sets{}).Note("lease", 30*time.Minute+time.Millisecond))
	noted(time.Minute, 30*time.Minute)
	must(t, (&Sets{}).Note("lease", time.Millisecond))
	for left := time.Second; left > 0; time.Sleep(10 * time.Millisecond) {
		var err error
		if left, err = (&Sets{}).Noted("lease"); err != nil || left > time.Second {
			t.Fatalf("noted for %s, %v", left, err)
		}
	}
	must(t, (&Sets{}).Note("lease", time.Hour))
	noted(time.Minute, time.Hour)
	nfnetlinktest.Run(t, "ipset", "ipset flush lease")
	noted(0, 0)
}
