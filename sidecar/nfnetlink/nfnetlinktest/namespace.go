//go:build linux

// Package nfnetlinktest gives tests a netfilter of their own.
package nfnetlinktest

import (
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace puts the test, but not its subtests, into a new network namespace with
// nothing in it. The thread is not given back: it ends with the test's goroutine, and
// the namespace with it.
func Namespace(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace of its own (not root?):", err)
	}
}

// Run runs a shell command in the test's namespace and returns its output.
func Run(t testing.TB, tool, command string) string {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not installed", tool)
	}
	out, err := exec.Command("sh", "-ec", command).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}
