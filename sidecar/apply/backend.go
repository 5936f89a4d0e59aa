package apply

import (
	"fmt"
	"os"

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
