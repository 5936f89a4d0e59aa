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
	if c.Live != nil {
		if err := c.Live.Cluster.Validate(); err != nil {
			return nil, err
		}
	}
	plan, err := rules.Build(c.Config, c.Pod, c.Live)
	if err != nil {
		return nil, err
	}
	tables, err := Parse(plan.String())
	if err != nil {
		t.Fatal(err)
	}
	return tables, nil
}

// TestSpecification holds the rules of generated configurations against the
// specification, for every class of packet.
func TestSpecification(t *testing.T) { hold(t, Generate, *cases) }

// TestSpecificationOfIdentity does so for what the feed tells.
func TestSpecificationOfIdentity(t *testing.T) { hold(t, GenerateIdentity, (*cases+2)/3) }

func hold(t *testing.T, generate func(*rand.Rand) Case, most int) {
	seed := *seed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("generated with -seed=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	built, packets := 0, 0
	for built < most {
		c := generate(random)
		tables, err := build(t, c)
		if err != nil {
			continue
		}
		built++
		told, n := Difference(c, tables)
		packets += n
		if told != "" {
			c, told = shrink(t, c, told)
			t.Fatalf("with -seed=%d, configuration\n  %+v\npod\n  %+v\nlive\n  %+v\n%s", seed, *c.Config, c.Pod, c.Live, told)
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
			if difference, _ := Difference(smaller, tables); difference != "" {
				c, told, found = smaller, difference, true
				break
			}
		}
		if !found {
			return c, told
		}
	}
}
