package experiments

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
)

// TestExperiments is the end-to-end test: everything with addressing identity, on a cluster of its own, and a look at
// what it leaves behind. A first run compiles Kubernetes and needs more than go test's ten minutes: give it -timeout 40m.
func TestExperiments(t *testing.T) { playAll(t, All, "experiments.json") }

// TestExperimentsCIDR does the same with addressing cidr and second interfaces.
func TestExperimentsCIDR(t *testing.T) { playAll(t, AllCIDR, "experiments-cidr.json") }

// whole is All or AllCIDR.
type whole func(ctx context.Context, repository string, choice Choice, log *progress.Log) (*results.Report, error)

func playAll(t *testing.T, play whole, file string) {
	if reason := host.Unsupported(); reason != "" {
		t.Skip(reason)
	}
	if testing.Short() {
		t.Skip("-short: the experiments start a cluster")
	}
	repository, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Clean(); err != nil {
		t.Fatal(err)
	}
	before := traces(t)
	report, err := play(t.Context(), repository, Choice{ReuseFor: ReuseFor}, progress.New(testWriter{t}))
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Write(filepath.Join(repository, "out", file)); err != nil {
		t.Error(err)
	}
	for _, result := range report.Experiments {
		t.Run(result.ID, func(t *testing.T) {
			switch {
			case result.Limit:
				t.Skipf("known limit of this release: %s", result.Detail)
			case !result.Pass:
				t.Errorf("%s: without Bulkhead %q, with it %q, expected %q\n%s",
					result.Name, result.Without, result.With, result.Expected, result.Detail)
			}
		})
	}
	t.Run("nothing is left behind", func(t *testing.T) {
		for kind, now := range traces(t) {
			for _, trace := range now {
				if !slices.Contains(before[kind], trace) {
					t.Errorf("%s: %s", kind, trace)
				}
			}
		}
	})
}

// traces lists what a cluster could leave on the machine: mounts, network interfaces, folders, and processes by what
// they were started as.
func traces(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(mounts)); lines.Scan(); {
		found["mount"] = append(found["mount"], strings.Fields(lines.Text())[4])
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		found["network interface"] = append(found["network interface"], i.Name)
	}
	patterns := []string{
		"/var/cache/bulkhead-testbed", "/sys/fs/cgroup/bulkhead-testbed", "/sys/fs/cgroup/*/bulkhead-testbed",
		"/run/netns/*", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers", "/usr/libexec/kubernetes",
		os.TempDir() + "/bulkhead-*",
	}
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		found["folder"] = append(found["folder"], paths...)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		// A process that has just ended has no command line to read.
		content, _ := os.ReadFile(command)
		if line := strings.ReplaceAll(string(content), "\x00", " "); strings.Contains(line, "bulkhead-testbed") || strings.Contains(line, "containerd-shim") {
			found["process"] = append(found["process"], line)
		}
	}
	return found
}

// testWriter sends progress lines to the test's log as they come.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(line []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(line), "\n"))
	return len(line), nil
}
