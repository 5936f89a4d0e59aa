//go:build linux

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
)

// TestRepairUnderFire tampers twice in every way with both families' rules, under
// forbidden packets without a pause: each tampering is found and repaired, what has
// been closed again stays closed, and what can only close never opens. How long it
// takes is for the measurement to say.
func TestRepairUnderFire(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range []string{"iptables-nft", "ip6tables-nft", "ipset", "nft", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: iptables, ipset, nftables, iproute2)", tool)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	o := options{firewall: filepath.Join(t.TempDir(), "bulkhead-firewall")}
	if err := build(ctx, o.firewall); err != nil {
		t.Fatal(err)
	}
	m, err := newRepairs(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.end()
	for range 2 {
		for _, tampering := range tamperings() {
			if err := m.tamper(tampering); err != nil {
				t.Fatalf("%s (%s): %v", tampering.kind, tampering.command, err)
			}
		}
	}
	if err := m.live(ctx, 4); err != nil {
		t.Fatal(err)
	}
	if m.escaped > 0 {
		t.Errorf("%d of %d forbidden packets came through after others had been dropped, or where nothing may open", m.escaped, m.fire.shots.Load())
	}
	// What opens until the next event is a race that repair may win, so the other
	// kinds are left out: a changed set opens until the clock's look, a second.
	opens := map[string]bool{
		"table flushed": false, "chain flushed": false, "jump deleted": false, "policy changed": false, "set flushed": false,
		"set refilled": true, "set swapped": true,
	}
	for name, want := range opens {
		k := m.kinds[name]
		if k == nil {
			t.Errorf("%s was not tried", name)
		} else if (k.opens > 0) != want {
			t.Errorf("%s let packets through %d times; that it can is %v", name, k.opens, want)
		}
	}
}

// TestWindow holds what counts as escaped.
func TestWindow(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	cases := map[string]struct {
		hits    []hit
		open    float64
		escaped int
	}{
		"nothing":                     {nil, 0, 0},
		"one after the other":         {[]hit{{false, 7, at(0)}, {false, 8, at(1)}, {false, 9, at(3)}}, 3.2, 0},
		"again after a dropped one":   {[]hit{{false, 7, at(0)}, {false, 9, at(3)}, {false, 10, at(4)}}, 0.2, 2},
		"families are apart":          {[]hit{{false, 7, at(0)}, {true, 3, at(1)}, {false, 8, at(2)}, {true, 4, at(5)}}, 4.2, 0},
		"of one family, and too late": {[]hit{{true, 3, at(1)}, {true, 5, at(2)}}, 0.2, 1},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			open, escaped := window(test.hits)
			if report.Round(open, 3) != test.open || escaped != test.escaped {
				t.Errorf("open %v ms and %d escaped, want %v and %d", open, escaped, test.open, test.escaped)
			}
		})
	}
}
