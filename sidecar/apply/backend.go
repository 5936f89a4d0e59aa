//go:build linux

package apply

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/ipset"
	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
	"github.com/bulkhead-dev/bulkhead/sidecar/nftables"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
	"github.com/bulkhead-dev/bulkhead/sidecar/xfrm"
)

// Backend is the kernel interface that iptables speaks, as in its tools' names.
type Backend string

// The backends.
const (
	NFTables Backend = "nft"
	Legacy   Backend = "legacy"
)

// DetectBackend takes nftables wherever the kernel has it and legacy only where
// it does not: both would hold side by side, but only nftables reports changes.
// What others have set in the backend not taken can drop packets and not let any
// through, and is left alone.
func DetectBackend() (Backend, error) {
	// The question with which iptables-nft begins as well. The kernel loads
	// the module to answer.
	_, err := (&nftables.Kernel{}).Generation()
	switch {
	case err == nil:
		return NFTables, nil
	// Any other failure is no answer: nobody would know which backend holds.
	case nfnetlink.Unsupported(err):
		return Legacy, nil
	case errors.Is(err, unix.EPERM):
		return "", fmt.Errorf("ask the kernel for nftables (is NET_ADMIN granted?): %w", err)
	}
	return "", fmt.Errorf("ask the kernel for nftables: %w", err)
}

// Open finds the tools for a backend, in both families if the kernel has IPv6.
func Open(backend Backend, ipv6 bool) (*Applier, error) {
	applier := &Applier{Tables: map[rules.Family]Tables{}, Sets: &ipset.Sets{}}
	shutter, err := xfrm.Find()
	if err != nil {
		return nil, err
	}
	if shutter != nil {
		applier.Shutter = shutter
	}
	if backend == NFTables {
		applier.Kernel = &nftables.Kernel{}
	} else if err := ownLock(); err != nil {
		return nil, err
	}
	families := []rules.Family{rules.IPv4}
	if ipv6 {
		families = append(families, rules.IPv6)
	}
	for _, family := range families {
		tables, err := openTable(backend, family)
		if err != nil {
			return nil, err
		}
		applier.Tables[family] = tables
	}
	return applier, nil
}

// lockVariable names the file with which legacy iptables keeps its runs apart.
const lockVariable = "XTABLES_LOCKFILE"

// ownLock gives legacy iptables a lock that nobody else can hold: a file in this
// process's memory. A file under /run or /dev/shm may be shared with the pod's other
// containers, which could hold up each repair; and the sidecar's root is read-only.
func ownLock() error {
	if os.Getenv(lockVariable) != "" {
		return nil
	}
	fd, err := unix.MemfdCreate("xtables.lock", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make the lock of legacy iptables: %w", err)
	}
	if err := os.Setenv(lockVariable, fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)); err != nil {
		return fmt.Errorf("choose the lock of legacy iptables: %w", err)
	}
	return nil
}
