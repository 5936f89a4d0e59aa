//go:build linux

package nftables

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// guardTable is of family inet, so one transaction closes and opens IPv4 and IPv6
// together.
const guardTable = "bulkhead-guard"

// guardHooks are the hooks that every packet passes one of, with chains' names.
func guardHooks() map[uint32]string {
	return map[uint32]string{
		unix.NF_INET_LOCAL_IN:  "L8-input",
		unix.NF_INET_FORWARD:   "L8-forward",
		unix.NF_INET_LOCAL_OUT: "L8-output",
	}
}

func isGuard(family uint8, name string) bool {
	return name == guardTable && family == unix.NFPROTO_INET
}

// Guard drops every packet of both families, in one transaction, before any other
// chain sees it. What somebody put into a table of that name is thrown away.
func (k *Kernel) Guard() error {
	found, err := k.Look()
	if err == nil {
		err = k.conn.Talk(func(conn *nfnetlink.Conn) error { return conn.Batch(0, guardRequests(found.Guard)...) })
	}
	if err != nil {
		return fmt.Errorf("set the guard: %w", err)
	}
	return nil
}

func guardRequests(found Guard) []nfnetlink.Message {
	if found == GuardStanding {
		return nil
	}
	requests := []nfnetlink.Message{guardIs(0)}
	switch found {
	case GuardResting:
		return requests
	case GuardSpoilt:
		remove := inet(unix.NFT_MSG_DELTABLE, 0, nfnetlink.Attributes{}.String(unix.NFTA_TABLE_NAME, guardTable))
		requests = []nfnetlink.Message{remove, guardIs(0)}
	}
	for hook, name := range guardHooks() {
		requests = append(requests, dropChain(unix.NFPROTO_INET, guardTable, name, hook, math.MinInt32))
	}
	return requests
}

// Wake wakes the guard, or makes it, without a look at whether it is whole: it is for the
// first moment after a change. Whoever deleted something holds the ruleset, when its
// socket closes, until no packet can see that any longer: to be in before takes a tenth
// of a millisecond, to come after it up to twenty.
func (k *Kernel) Wake() error {
	err := k.conn.Talk(func(conn *nfnetlink.Conn) error {
		requests := []nfnetlink.Message{guardIs(0)}
		err := conn.Ask(inet(unix.NFT_MSG_GETTABLE, 0, nfnetlink.Attributes{}.String(unix.NFTA_TABLE_NAME, guardTable)), func(nfnetlink.Message) error { return nil })
		if errors.Is(err, unix.ENOENT) {
			requests, err = guardRequests(GuardAbsent), nil
		}
		if err != nil {
			return err
		}
		return conn.Batch(0, requests...)
	})
	if err != nil {
		return fmt.Errorf("wake the guard: %w", err)
	}
	return nil
}

// Lift puts the guard to rest if the ruleset is still of that generation, and returns
// the one that follows. Otherwise the error is unix.ERESTART.
func (k *Kernel) Lift(generation uint32) (uint32, error) {
	err := k.conn.Talk(func(conn *nfnetlink.Conn) error {
		return conn.Batch(generation, guardIs(unix.NFT_TABLE_F_DORMANT))
	})
	if err != nil {
		return 0, fmt.Errorf("lift the guard: %w", err)
	}
	return max(1, generation+1), nil // 0 is left out, see nf_tables_commit
}

// guardIs makes the table, or changes its flags.
func guardIs(flags uint32) nfnetlink.Message {
	return inet(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, nfnetlink.Attributes{}.
		String(unix.NFTA_TABLE_NAME, guardTable).
		Uint32(unix.NFTA_TABLE_FLAGS, flags))
}

// MakeFilter makes iptables' filter table of a family where there is none, with
// built-in chains that drop: iptables would make them accept and then change that.
func (k *Kernel) MakeFilter(family uint8) error {
	table := inet(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, nfnetlink.Attributes{}.String(unix.NFTA_TABLE_NAME, FilterTable))
	table.Family = family
	requests := []nfnetlink.Message{table}
	for name, hook := range filterHooks() {
		requests = append(requests, dropChain(family, FilterTable, name, hook, 0))
	}
	if err := k.conn.Talk(func(conn *nfnetlink.Conn) error { return conn.Batch(0, requests...) }); err != nil {
		return fmt.Errorf("make table %s %s: %w", familyName(family), FilterTable, err)
	}
	return nil
}

// filterHooks are where iptables hangs its built-in chains.
func filterHooks() map[string]uint32 {
	return map[string]uint32{
		"INPUT":   unix.NF_INET_LOCAL_IN,
		"FORWARD": unix.NF_INET_FORWARD,
		"OUTPUT":  unix.NF_INET_LOCAL_OUT,
	}
}

// dropChain makes a chain at a hook whose policy is to drop.
func dropChain(family uint8, table, name string, hook uint32, priority int32) nfnetlink.Message {
	request := inet(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, nfnetlink.Attributes{}.
		String(unix.NFTA_CHAIN_TABLE, table).
		String(unix.NFTA_CHAIN_NAME, name).
		Nested(unix.NFTA_CHAIN_HOOK, nfnetlink.Attributes{}.
							Uint32(unix.NFTA_HOOK_HOOKNUM, hook).
							Uint32(unix.NFTA_HOOK_PRIORITY, uint32(priority))).
		Uint32(unix.NFTA_CHAIN_POLICY, 0). // NF_DROP
		String(unix.NFTA_CHAIN_TYPE, "filter"))
	request.Family = family
	return request
}

// RemoveFilter deletes iptables' filter table of a family, which makes iptables build
// it anew: for one that it cannot read or repair.
func (k *Kernel) RemoveFilter(family uint8) error {
	request := inet(unix.NFT_MSG_DELTABLE, 0, nfnetlink.Attributes{}.String(unix.NFTA_TABLE_NAME, FilterTable))
	request.Family = family
	if err := k.conn.Talk(func(conn *nfnetlink.Conn) error { return conn.Batch(0, request) }); err != nil {
		return fmt.Errorf("remove table %s %s: %w", familyName(family), FilterTable, err)
	}
	return nil
}

func inet(command, flags uint16, attributes nfnetlink.Attributes) nfnetlink.Message {
	return nfnetlink.Message{Type: kind(command), Flags: flags, Family: unix.NFPROTO_INET, Attributes: attributes}
}
