//go:build linux

package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace without a name, held open by a file.
type namespace struct {
	name string
	file *os.File
}

// newNamespace makes one with loopback up, without waiting for IPv6 addresses.
func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	n := &namespace{name: name}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatalf("make namespace %s: %v", name, err)
	}
	t.Cleanup(func() { _ = n.file.Close() })
	n.must(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(lo); err != nil {
			return err
		}
		return sysctl("net/ipv6/conf/all/accept_dad=0", "net/ipv6/conf/default/accept_dad=0")
	})
	return n
}

// do runs a function in the namespace. What it opens stays there; what it starts
// runs there.
func (n *namespace) do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.name, err)
		}
		return f()
	})
}

func (n *namespace) must(t testing.TB, f func() error) {
	t.Helper()
	if err := n.do(f); err != nil {
		t.Fatalf("in namespace %s: %v", n.name, err)
	}
}

// sh runs a shell command in the namespace and returns its output.
func (n *namespace) sh(t testing.TB, command string) string {
	t.Helper()
	var out []byte
	err := n.do(func() (err error) {
		out, err = exec.Command("sh", "-ec", command).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("in namespace %s: %s: %v\n%s", n.name, command, err, out)
	}
	return string(out)
}

// onThread runs a function on a thread of its own, which ends with it: Go ends
// the thread of a goroutine that ends while locked to it.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}

// sysctl sets values as in "net/ipv4/ip_forward=1".
func sysctl(settings ...string) error {
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
