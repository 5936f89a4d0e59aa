package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// chroot runs a program with an image as its root, in the network namespace of
// the calling thread.
func chroot(t *testing.T, root string, environ []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append([]string{"PATH=" + sbin}, environ...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// enterPod gives the test a network namespace with a pod's addresses. The thread
// is not given back: it ends with the test's goroutine, and the namespace with it.
func enterPod(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace of its own:", err)
	}
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "peer"}
	if err := netlink.LinkAdd(link); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"172.16.1.2/24", "fd00:1::2/64"} {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.AddrAdd(link, parsed); err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		t.Fatal(err)
	}
}

// addNull makes the one device that programs need, which a container runtime
// gives them. It is made and not mounted, so that removing the root removes
// nothing else.
func addNull(t *testing.T, root string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(root, "dev"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mknod(filepath.Join(root, "dev", "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))); err != nil {
		t.Skip("cannot make a device node:", err)
	}
}

// testFirewallRuns brings the rules in with nothing but what is in the image:
// every tool, library and extension that it takes is there.
func testFirewallRuns(t *testing.T, files rootfs) {
	if os.Geteuid() != 0 {
		t.Skip("not root: cannot change the root directory")
	}
	root := filepath.Join(t.TempDir(), "root")
	if err := files.writeDirectory(root); err != nil {
		t.Fatal(err)
	}
	addNull(t, root)
	worlds := everything(t)
	enterPod(t)

	for _, w := range worlds {
		if w.live != nil {
			continue // there is no feed here to tell it
		}
		c := w.config
		encoded, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if out, err := chroot(t, root, []string{config.EnvVar + "=" + encoded}, "/bulkhead-firewall", "init", "--outside-a-pod"); err != nil {
			t.Fatalf("init with addressing %q and egress %s: %v\n%s", c.Addressing, c.Egress.External, err, out)
		}
		for _, save := range []string{"iptables-save", "ip6tables-save"} {
			out, err := chroot(t, root, nil, filepath.Join(sbin, save))
			if err != nil || !strings.Contains(out, "-A OUTPUT") || !strings.Contains(out, "BULKHEAD-") {
				t.Errorf("%s after init: %v\n%s", save, err, out)
			}
		}
	}
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy", "iptables-nft-restore", "ip6tables-legacy-restore"} {
		if out, err := chroot(t, root, nil, filepath.Join(sbin, tool), "--version"); err != nil {
			t.Errorf("%s: %v\n%s", tool, err, out)
		}
	}
}
