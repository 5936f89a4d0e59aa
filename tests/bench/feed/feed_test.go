//go:build linux

package main

import (
	"flag"
	"math"
	"path/filepath"
	"testing"
	"time"
)

// TestSmall runs the whole benchmark in a small cluster: it must find all its figures,
// whatever they are, and every sidecar must hear of every change, unless the machine is so
// slow that the feed ends a stream.
func TestSmall(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it starts an API server")
	}
	root := filepath.Join("..", "..", "..")
	binary, err := newest(filepath.Join(root, ".cache", "testbed", "kubernetes-*"))
	if err != nil {
		t.Skip(err)
	}
	var o options
	o.add(flag.NewFlagSet("", flag.PanicOnError))
	o.kubernetes, o.crds = binary, filepath.Join(root, "charts", "bulkhead", "crds")
	o.tenants, o.pods, o.sidecars, o.changes = 1, 4, 4, 10
	o.time, o.stepTime = time.Second, time.Second
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	found, err := run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := found.write(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	d := &found.Details
	for name, loads := range map[string][]*load{"main": {d.Main}, "tenants": d.ByTenants, "changes": d.ByChanges, "pods": d.ByPods} {
		for _, l := range loads {
			if l.Changes == 0 || l.Heard == 0 || l.Missing != 0 && l.Lost == 0 || l.BytesPerChange <= 0 || l.ServerRSS <= 0 {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
	if len(d.Reconnects) != 2 || d.Reconnects[0].All <= 0 {
		t.Errorf("reconnections: %+v", d.Reconnects)
	}
}

func TestExponent(t *testing.T) {
	for name, test := range map[string]struct {
		of   func(x float64) float64
		want float64
	}{
		"the same": {func(float64) float64 { return 7 }, 0},
		"linear":   {func(x float64) float64 { return 3 * x }, 1},
		"square":   {func(x float64) float64 { return x * x }, 2},
		"root":     {math.Sqrt, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			g := growth{of: func(l *load) float64 { return float64(l.Tenants) }}
			for _, n := range []int{125, 250, 500, 1000} {
				g.loads = append(g.loads, &load{Tenants: n, ServerRSS: test.of(float64(n))})
			}
			if got := g.exponent(func(l *load) float64 { return l.ServerRSS }); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}
