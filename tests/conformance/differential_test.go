package conformance

import (
	"encoding/json"
	"flag"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/rego"
)

var (
	podCount  = flag.Uint64("pods", 5_000, "how many pods TestDifferential generates")
	firstPod  = flag.Uint64("first", 0, "the first of them, to play one again")
	seedValue = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what they are generated from")
)

// TestDifferential generates pods and levels, and wants of our rules what PSA says,
// control by control. A disagreement is shrunk to the smallest pod that shows it.
func TestDifferential(t *testing.T) {
	t.Logf("%d pods from -seed %d -first %d", *podCount, *seedValue, *firstPod)
	d := newDeciders(t)
	var next, asked, refused atomic.Uint64
	var lock sync.Mutex
	seen := map[string]uint64{} // reasons
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			mine := map[string]uint64{}
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= *podCount {
					break
				}
				q := newQuestion(*seedValue, *firstPod+i)
				difference, answers := d.disagreement(t, q)
				if difference != "" {
					smallest, difference := d.shrink(t, q)
					pod, err := json.Marshal(smallest.pod)
					t.Errorf("%s\n%s (%v)\nagain by: -seed %d -first %d -pods 1", difference, pod, err, *seedValue, *firstPod+i)
					break
				}
				for _, reasons := range answers {
					asked.Add(1)
					if len(reasons) > 0 {
						refused.Add(1)
					}
					for _, reason := range reasons {
						mine[reason]++
					}
				}
			}
			lock.Lock()
			defer lock.Unlock()
			for reason, count := range mine {
				seen[reason] += count
			}
		})
	}
	group.Wait()
	t.Logf("%d answers compared, %d of them refusals, for %v", asked.Load(), refused.Load(), seen)
	if t.Failed() || *podCount < 5000 {
		return
	}
	// Neither side of the comparison may be empty.
	for _, reason := range slices.Sorted(maps.Values(reasons)) {
		if seen[reason] < 10 {
			t.Errorf("refused for %s: only %d times", reason, seen[reason])
		}
	}
	if passed := asked.Load() - refused.Load(); passed < asked.Load()/10 {
		t.Errorf("only %d of %d let pass", passed, asked.Load())
	}
}

// newQuestion is the same for the same seed and index.
func newQuestion(seed, index uint64) question {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, index))}
	q := question{pod: g.pod()}
	for i := range q.levels {
		q.levels[i] = rego.Level{
			Name:    pick(g, rego.Baseline, rego.Restricted, rego.Restricted, rego.Privileged),
			Version: pick(g, versions()...),
		}
	}
	return q
}

// shrink takes away from a pod whatever it can without the two agreeing again.
func (d deciders) shrink(t testing.TB, q question) (question, string) {
	difference, _ := d.disagreement(t, q)
	for again := true; again; {
		again = false
		for _, smaller := range reductions(q.pod) {
			candidate := question{smaller.(map[string]any), q.levels}
			if candidate.pod["spec"] == nil {
				continue // nobody's pod
			}
			if less, _ := d.disagreement(t, candidate); less != "" {
				q, difference, again = candidate, less, true
				break
			}
		}
	}
	return q, difference
}

// reductions returns copies of a value that lack one thing each, the largest first.
func reductions(value any) []any {
	var all []any
	switch value := value.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			less := maps.Clone(value)
			delete(less, key)
			all = append(all, less)
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			for _, smaller := range reductions(value[key]) {
				less := maps.Clone(value)
				less[key] = smaller
				all = append(all, less)
			}
		}
	case []any:
		for i := range value {
			all = append(all, slices.Delete(slices.Clone(value), i, i+1))
		}
		for i := range value {
			for _, smaller := range reductions(value[i]) {
				less := slices.Clone(value)
				less[i] = smaller
				all = append(all, less)
			}
		}
	}
	return all
}

// TestSeed: what a seed and an index made once they make again.
func TestSeed(t *testing.T) {
	for index := range uint64(500) {
		if one, other := newQuestion(1, index), newQuestion(1, index); !reflect.DeepEqual(one, other) {
			t.Fatalf("pod %d: %v, then %v", index, one, other)
		}
	}
}

// TestShrink holds that the smallest pod is found, by a decider that errs.
func TestShrink(t *testing.T) {
	d := newDeciders(t)
	// An engine that refuses what PSA never does: the reserved names.
	q := question{
		pod: map[string]any{
			"metadata": map[string]any{"name": "x"},
			"spec": map[string]any{
				"hostPID": true,
				"containers": []any{
					map[string]any{"name": "a", "securityContext": map[string]any{"privileged": true}},
					map[string]any{"name": "bulkhead-init", "image": "x"},
				},
			},
		},
		levels: [3]rego.Level{{Name: rego.Baseline, Version: rego.Latest}, {Name: rego.Baseline, Version: "v1.0"}, {Name: rego.Privileged, Version: "v1.1"}},
	}
	smallest, difference := d.shrink(t, q)
	data, err := json.Marshal(smallest.pod)
	if want := `{"spec":{"containers":[{"name":"bulkhead-init"}]}}`; err != nil || string(data) != want {
		t.Errorf("got %s (%v), want %s", data, err, want)
	}
	if want := "no reason of PSA's for fw-reserved-name"; difference != want {
		t.Errorf("got %q, want %q", difference, want)
	}
}
