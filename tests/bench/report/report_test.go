package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpreadOf(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // 100 to 1: not sorted
	}
	for name, test := range map[string]struct {
		values []float64
		want   Spread
		all    float64 // the greatest
	}{
		"none":      {nil, Spread{}, 0},
		"one":       {[]float64{7}, Spread{7, 7, 7}, 7},
		"two":       {[]float64{2, 1}, Spread{1, 2, 2}, 2},
		"a hundred": {hundred, Spread{50, 90, 99}, 100},
		"rounded":   {[]float64{In(time.Millisecond, 1234567*time.Nanosecond)}, Spread{1.235, 1.235, 1.235}, 1.235},
	} {
		t.Run(name, func(t *testing.T) {
			if got := SpreadOf(test.values); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if got := Quantile(test.values, 1); got != test.all {
				t.Errorf("the greatest: got %v, want %v", got, test.all)
			}
		})
	}
}

// TestWrite: other programs read the files by these names.
func TestWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	if err := Write(dir, "bench-x", map[string]int{"a": 1}, map[string]int{"b": 2}, "<svg/>"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"bench-x.json":         "{\n  \"a\": 1\n}\n",
		"bench-x-details.json": "{\n  \"b\": 2\n}\n",
		"bench-x.svg":          "<svg/>",
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestMachine: where a Machine is embedded, its keys stand beside the others.
func TestMachine(t *testing.T) {
	data, err := json.Marshal(struct {
		CPU string `json:"cpu"`
		Machine
	}{"x", Machine{2, "go1", "1", "2"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"cpu":"x","processors":2,"go":"go1","load_before":"1","load_after":"2"}`; string(data) != want {
		t.Errorf("got %s", data)
	}
}
