package apply

import (
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Backend is the kernel interface that iptables speaks, as in its tools' names.
type Backend string

// The backends.
const (
	NFTables Backend = "nft"
	Legacy   Backend = "legacy"
)

// legacyLock is where legacy iptables keeps its lock in a container whose root
// file system is read-only, as the sidecar's is; /dev/shm is writable in every pod.
const legacyLock = "/dev/shm/xtables.lock"

// DetectBackend takes nftables wherever the kernel has it and legacy only where
// it does not: both would hold side by side, but only nftables reports changes.
// What others have set in the backend not taken can drop packets and not let any
// through, and is left alone.
func DetectBackend() (Backend, error) {
	// The question with which iptables-nft begins as well. The kernel loads
	// the module to answer.
	request := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_GETGEN, 0)
	request.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
	_, err := request.Execute(unix.NETLINK_NETFILTER, 0)
	switch {
	case err == nil:
		return NFTables, nil
	case errors.Is(err, unix.EPERM):
		return "", fmt.Errorf("ask the kernel for nftables (is NET_ADMIN granted?): %w", err)
	}
	return Legacy, nil
}

// Open finds the tools for a backend, in both families if the kernel has IPv6.
func Open(backend Backend, ipv6 bool) (*Applier, error) {
	if backend == Legacy && os.Getenv("XTABLES_LOCKFILE") == "" {
		if err := os.Setenv("XTABLES_LOCKFILE", legacyLock); err != nil {
			return nil, fmt.Errorf("choose the lock of legacy iptables: %w", err)
		}
	}
	families := []rules.Family{rules.IPv4}
	if ipv6 {
		families = append(families, rules.IPv6)
	}
	applier := &Applier{Tables: map[rules.Family]Tables{}}
	for _, family := range families {
		tables, err := openTable(backend, family)
		if err != nil {
			return nil, err
		}
		applier.Tables[family] = tables
	}
	var err error
	applier.Sets, err = openSets()
	return applier, err
}
