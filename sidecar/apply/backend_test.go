//go:build linux

package apply

import (
	"os"
	"os/exec"
	"testing"
)

// TestOwnLock holds that legacy iptables' lock is a file that a tool can lock, and that
// is nowhere another container could.
func TestOwnLock(t *testing.T) {
	t.Setenv(lockVariable, "")
	if err := ownLock(); err != nil {
		t.Fatal(err)
	}
	file := os.Getenv(lockVariable)
	if target, err := os.Readlink(file); err != nil || target != "/memfd:xtables.lock (deleted)" {
		t.Errorf("%s is %s, %v", file, target, err)
	}
	if _, err := exec.LookPath("flock"); err != nil {
		t.Skip("flock is not installed (Debian: util-linux)")
	}
	if out, err := exec.Command("flock", "--nonblock", file, "true").CombinedOutput(); err != nil {
		t.Errorf("flock %s: %v\n%s", file, err, out)
	}
	if err := exec.Command("flock", "--nonblock", file, "flock", "--nonblock", file, "true").Run(); err == nil {
		t.Error("locked twice at once")
	}
}
