//go:build linux

package xfrm

import (
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink/nfnetlinktest"
)

// TestShutter holds that all directions are shut and opened, as iproute2 sees them, and
// that whoever looks next finds it so.
func TestShutter(t *testing.T) {
	nfnetlinktest.Namespace(t)
	s := find(t)
	for range 2 {
		is(t, "accept")
		if err := s.Shut(); err != nil {
			t.Fatal(err)
		}
		is(t, "block")
		s = find(t) // killed and started
		if err := s.Open(); err != nil {
			t.Fatal(err)
		}
	}
	is(t, "accept")
}

// TestOpenLeavesAlone holds that what was not shut is not touched.
func TestOpenLeavesAlone(t *testing.T) {
	nfnetlinktest.Namespace(t)
	s := find(t)
	nfnetlinktest.Run(t, "ip", "ip xfrm policy setdefault out block")
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	if got := defaultPolicies(t); !strings.Contains(got, "out: block") {
		t.Errorf("opened:\n%s", got)
	}
	if s = find(t); !s.shut {
		t.Error("one direction is blocked, but it is found open")
	}
}

func find(t testing.TB) *Shutter {
	t.Helper()
	s, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	if s == nil {
		t.Skip("the kernel has no default IPsec policy")
	}
	return s
}

func is(t *testing.T, want string) {
	t.Helper()
	if got := defaultPolicies(t); strings.Count(got, want) != directions {
		t.Errorf("got %q, want %d times %s", got, directions, want)
	}
}

func defaultPolicies(t *testing.T) string {
	t.Helper()
	return nfnetlinktest.Run(t, "ip", "ip xfrm policy getdefault")
}

// BenchmarkShutter is what shutting and opening takes.
func BenchmarkShutter(b *testing.B) {
	nfnetlinktest.Namespace(b)
	s := find(b)
	for b.Loop() {
		if err := s.Shut(); err != nil {
			b.Fatal(err)
		}
		if err := s.Open(); err != nil {
			b.Fatal(err)
		}
	}
}
