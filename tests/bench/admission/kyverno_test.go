package main

import (
	"encoding/json"
	"slices"
	"testing"
)

// TestKyvernoDecisions: a peer that decides something else would be measured for nothing.
func TestKyvernoDecisions(t *testing.T) {
	b := &bench{deck: []sample{
		{set: failingSet, level: "baseline"},
		{set: "web", level: "baseline"},
	}}
	for _, name := range []string{"sysctls1", "base"} {
		b.deck = append(b.deck, sample{set: passingSet, level: "baseline", pod: json.RawMessage(`{"metadata":{"generateName":"` + name + `-"}}`)})
	}
	for name, test := range map[string]struct {
		denied  []int
		refused int
		fails   bool
	}{
		"as PSA":                     {denied: []int{0}},
		"a violation is let through": {fails: true},
		"an ordinary pod is denied":  {denied: []int{0, 1}, fails: true},
		"what is known to be denied": {denied: []int{0, 2}, refused: 1},
		"what is not":                {denied: []int{0, 3}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			denied := make([]string, len(b.deck))
			for _, i := range test.denied {
				denied[i] = "was blocked"
			}
			refused, err := b.kyvernoDecisions(denied)
			if (err != nil) != test.fails {
				t.Fatalf("error %v, want one: %t", err, test.fails)
			}
			if want := slices.Repeat([]string{"baseline sysctls1"}, test.refused); !slices.Equal(refused, want) {
				t.Errorf("refused %v, want %v", refused, want)
			}
		})
	}
}
