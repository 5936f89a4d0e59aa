package specification

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the generated configurations; 0 takes one from the clock")
	cases = flag.Int("cases", 30, "how many configurations are generated")
)

// build makes the rules of a case, or says why it has none.
func build(t *testing.T, c Case) (map[rules.Family]*Ruleset, error) {
	t.Helper()
	if err := c.Config.Validate(); err != nil {
		return nil, err
	}
	plan, err := rules.Build(c.Config, c.Pod, nil)
	if err != nil {
		return nil, err
	}
	tables, err := Parse(plan.String())
	if err != nil {
		t.Fatal(err)
	}
	return tables, nil
}

// TestSpecification holds the rules of generated configurations against the ten
// lines, for every class of packet.
func TestSpecification(t *testing.T) {
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("generated with -seed=%d", *seed)
	random := rand.New(rand.NewPCG(*seed, 0))
	built, packets := 0, 0
	for built < *cases {
		c := Generate(random)
		tables, err := build(t, c)
		if err != nil {
			continue
		}
		built++
		told, n := Difference(c.Config, c.Pod, tables)
		packets += n
		if told != "" {
			c, told = shrink(t, c, told)
			t.Fatalf("with -seed=%d, configuration\n  %+v\npod\n  %+v\n%s", *seed, *c.Config, c.Pod, told)
		}
	}
	t.Logf("%d packets under %d configurations", packets, built)
}

// shrink looks for the least case in which anything differs.
func shrink(t *testing.T, c Case, told string) (Case, string) {
	for {
		found := false
		for _, smaller := range c.Smaller() {
			tables, err := build(t, smaller)
			if err != nil {
				continue
			}
			if difference, _ := Difference(smaller.Config, smaller.Pod, tables); difference != "" {
				c, told, found = smaller, difference, true
				break
			}
		}
		if !found {
			return c, told
		}
	}
}
