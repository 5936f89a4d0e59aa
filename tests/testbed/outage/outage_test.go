package outage

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
)

// TestOutage plays every outage on a cluster of its own, and prints the counts.
func TestOutage(t *testing.T) {
	if reason := host.Unsupported(); reason != "" {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("-short: the outages are played on a cluster")
	}
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	report, err := Run(t.Context(), repository, progress.New(testWriter{t}))
	var table bytes.Buffer
	if printErr := report.Print(&table); printErr != nil {
		t.Error(printErr)
	}
	t.Log(table.String())
	if err != nil {
		t.Error(err)
	}
	for _, phase := range report.Phases {
		t.Run(phase.Name, func(t *testing.T) {
			for _, problem := range phase.Problems {
				t.Error(problem)
			}
		})
	}
	if err := report.Write(filepath.Join(repository, "out", "outage.json")); err != nil {
		t.Error(err)
	}
}

// testWriter shows the steps while they are done.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(line), "\n"))
	return len(line), nil
}
