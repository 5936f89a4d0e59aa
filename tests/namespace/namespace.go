//go:build linux

// Package namespace makes network namespaces and joins them, for tests and
// measurements of the firewall. They have no name and no way out: the kernel removes
// them with the last file and process, however the program ends.
package namespace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace, held open by a file.
type Namespace struct {
	// Name is for messages.
	Name string
	file *os.File
}

// New makes one with loopback up, and without waiting for IPv6 addresses.
func New(name string) (*Namespace, error) {
	n := &Namespace{Name: name}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		var err error
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", name, err)
	}
	err = n.Do(func() error {
		if err := Address("lo"); err != nil {
			return err
		}
		return Sysctl("net/ipv6/conf/all/accept_dad=0", "net/ipv6/conf/default/accept_dad=0")
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("in namespace %s: %w", name, err), n.Close())
	}
	return n, nil
}

// Close lets go of it.
func (n *Namespace) Close() error { return n.file.Close() }

// Fd is the namespace as netlink takes it.
func (n *Namespace) Fd() int { return int(n.file.Fd()) }

// Do runs a function in the namespace, on a thread of its own. What it opens stays
// there; what it starts runs there.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(n.Fd(), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// Shell runs a shell command in the namespace and returns its output.
func (n *Namespace) Shell(command string) (string, error) {
	var out []byte
	err := n.Do(func() (err error) {
		out, err = exec.Command("sh", "-ec", command).CombinedOutput()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("in namespace %s: %s: %w\n%s", n.Name, command, err, out)
	}
	return string(out), nil
}

// Wire joins two namespaces by a veth pair, up at both ends.
func Wire(one *Namespace, oneName string, other *Namespace, otherName string) error {
	err := one.Do(func() error {
		link := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: otherName, PeerNamespace: netlink.NsFd(other.Fd())}
		link.Name = oneName
		if err := netlink.LinkAdd(link); err != nil {
			return err
		}
		return Address(oneName)
	})
	if err == nil {
		err = other.Do(func() error { return Address(otherName) })
	}
	if err != nil {
		return fmt.Errorf("wire %s to %s: %w", one.Name, other.Name, err)
	}
	return nil
}

// Address gives an interface of the calling thread's namespace addresses and sets it
// up.
func Address(name string, addresses ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	for _, text := range addresses {
		addr, err := netlink.ParseAddr(text)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if addr.IP.To4() != nil {
			addr.Flags = 0
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// Sysctl sets values of the calling thread's namespace, as in
// "net/ipv4/ip_forward=1".
func Sysctl(settings ...string) error {
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if err := os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// onThread runs a function on a thread that ends with it: Go ends the thread of a
// goroutine that ends while locked to it.
func onThread(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}
