//go:build linux

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// built is the sidecar's binary, built once for all tests.
var built string

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == stageCommand {
		fmt.Fprintln(os.Stderr, stage(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "bulkhead-netns-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	built = filepath.Join(dir, "bulkhead-firewall")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", built,
		"github.com/bulkhead-dev/bulkhead/cmd/bulkhead-firewall")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the sidecar: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// needs skips the test, by name of what is missing, where it cannot run.
func needs(t testing.TB, tools ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	for _, tool := range append([]string{"iptables-nft", "ip6tables-nft", "ipset", "setpriv"}, tools...) {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: iptables, ipset, nftables, util-linux)", tool)
		}
	}
	if fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM, 0); errors.Is(err, unix.EAFNOSUPPORT) {
		t.Skip("the kernel has no IPv6")
	} else if err == nil {
		_ = unix.Close(fd)
	}
}
