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
	for range 40 {
		b.deck = append(b.deck, sample{set: passingSet, level: "baseline", pod: json.RawMessage(`{"metadata":{"generateName":"sysctls1-"}}`)})
	}
	for name, test := range map[string]struct {
		denied  []int
		refused int
		fails   bool
	}{
		"as PSA":                      {denied: []int{0}},
		"a violation is let through":  {fails: true},
		"an ordinary pod is denied":   {denied: []int{0, 1}, fails: true},
		"a few newer ones are denied": {denied: []int{0, 2, 3}, refused: 2},
		"many are":                    {denied: []int{0, 2, 3, 4}, fails: true},
		"all are":                     {denied: []int{0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, fails: true},
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
