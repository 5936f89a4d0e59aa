package faults

import (
	"slices"
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

func TestManifests(t *testing.T) {
	to, err := receiver(alice)
	if err != nil || to.Namespace != alice || to.Spec.Containers[0].Name != app {
		t.Errorf("receiver: %+v, %v", to, err)
	}
	from, err := sender(bob, []string{"172.16.1.2", "fd00::2"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/stream", "send", "172.16.1.2:7000", "[fd00::2]:7000"}
	if got := from.Spec.Containers[0].Command; from.Namespace != bob || !slices.Equal(got, want) {
		t.Errorf("sender in %s: %q", from.Namespace, got)
	}
}

func TestFaultsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range all() {
		if seen[f.id] || f.name == "" || len(f.threats) == 0 || f.without == nil || f.with == nil {
			t.Errorf("%q is told twice or lacks a part", f.id)
		}
		if f.expected == results.Reached && f.id != "shared-namespace" {
			t.Errorf("%s is expected to get through with Bulkhead", f.id)
		}
		seen[f.id] = true
	}
}
