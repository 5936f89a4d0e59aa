package cluster

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// A process that was killed while its cgroup was frozen keeps no cgroup from going, once it is thawed.
func TestRemoveTreeOfTheFrozen(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot make a cgroup")
	}
	const v1 = "/sys/fs/cgroup/freezer"
	if _, err := os.Stat(v1); err != nil {
		t.Skip("no freezer of cgroup v1:", err)
	}
	root := filepath.Join(v1, "bulkhead-testbed-test-"+strconv.Itoa(os.Getpid()))
	dir := filepath.Join(root, "pod")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	process := exec.Command("sleep", "1d")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	write := func(file, value string) {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
	write("cgroup.procs", strconv.Itoa(process.Process.Pid))
	write("freezer.state", "FROZEN")
	if err := process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	go process.Wait()
	deadline := time.Now().Add(time.Minute)
	for removeTree(root) != nil && time.Now().Before(deadline) {
		time.Sleep(pollInterval)
	}
	if _, err := os.Stat(root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there: %v", root, err)
	}
}
