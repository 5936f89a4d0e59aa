package charts

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the snapshots anew")

// TestSnapshots holds whole renderings, so that a change of the chart shows what
// it changes in a cluster.
func TestSnapshots(t *testing.T) {
	for name, values := range map[string]string{
		"default":     "",
		"two-tenants": twoTenants,
	} {
		t.Run(name, func(t *testing.T) {
			got := template(t, values)
			file := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the rendering changed; if it should: go test ./charts -update (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLint(t *testing.T) {
	if stdout, stderr, err := helm(t, "", "lint", "--strict", "bulkhead"); err != nil {
		t.Errorf("helm lint: %v\n%s%s", err, stdout, stderr)
	}
}
