//go:build linux

// Package nftables looks at the kernel's nftables rulesets and closes them, without
// running a tool: in a fraction of a millisecond, which iptables needs to load its
// libraries. It writes nothing but the guard; the rules are iptables' to write.
//
//	Look     what iptables' filter tables hold, rule by rule as digests, and what in
//	         other tables could change packets behind the rules' back
//	Guard    a table of its own that drops every packet of both families
//	Lift     puts the guard to rest, if nothing changed since a Look
//
// Nothing it does at the usual times deletes anything or changes a policy: the kernel
// then waits, for a dozen milliseconds, until no packet can still see what was
// (nft_rcv_nl_event, when the socket is closed). So the guard, once made, is awake or
// dormant.
//
// A Snapshot tells whether something changed, not what a rule means: that is asked of
// iptables once, and compared by digest from then on.
package nftables

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// Snapshot is the ruleset of one generation.
type Snapshot struct {
	// Generation counts the transactions of the network namespace.
	Generation uint32
	// Filter are iptables' tables "filter", by family: unix.NFPROTO_IPV4 and
	// unix.NFPROTO_IPV6. One that is not there is nil.
	Filter map[uint8]*Table
	Guard  Guard
	// Unsafe names the rules of other tables and chains that could change packets
	// behind the firewall's back; see unsafe.go.
	Unsafe []string
}

// Guard is the guard's state.
type Guard int

// The states. A spoilt guard is one that somebody else changed.
const (
	GuardAbsent Guard = iota
	GuardResting
	GuardStanding
	GuardSpoilt
)

// Table is one of iptables' filter tables.
type Table struct {
	// Flags are the kernel's; a dormant table holds rules that do nothing.
	Flags  uint32
	Chains map[string]*Chain
}

// Chain is the table's of that name, or nil.
func (t *Table) Chain(name string) *Chain {
	if t == nil {
		return nil
	}
	return t.Chains[name]
}

// Chain is a chain of such a table.
type Chain struct {
	// Base says how a built-in chain is hooked, such as "filter 1 0"; empty for
	// other chains.
	Base string
	// Drop says that a built-in chain's policy is DROP.
	Drop  bool
	Rules []Rule
}

// Rule is a rule's digest, without what it counts, and that.
type Rule struct {
	Digest         [16]byte
	Packets, Bytes uint64
}

// maxRules bounds what is read of a ruleset.
const maxRules = 20_000

// Kernel is the nftables of the network namespace of the thread that uses it first. It
// is not for concurrent use.
type Kernel struct{ conn nfnetlink.Kept }

// Generation asks for the number of the ruleset.
func (k *Kernel) Generation() (uint32, error) {
	var generation uint32
	err := k.conn.Talk(func(conn *nfnetlink.Conn) (err error) {
		generation, err = getGeneration(conn)
		return err
	})
	return generation, err
}

// Look reads the ruleset as it is at one moment.
func (k *Kernel) Look() (*Snapshot, error) {
	var found *Snapshot
	err := k.conn.Talk(func(conn *nfnetlink.Conn) error {
		return nfnetlink.Retry(func() (err error) {
			found, err = look(conn)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the nftables rules: %w", err)
	}
	return found, nil
}

func look(conn *nfnetlink.Conn) (*Snapshot, error) {
	generation, err := getGeneration(conn)
	if err != nil {
		return nil, err
	}
	s := &reader{
		Snapshot: Snapshot{Generation: generation, Filter: map[uint8]*Table{}},
		hooks:    map[uint64]bool{},
	}
	for _, dump := range []struct {
		command uint16
		read    func(nfnetlink.Message) error
	}{
		{unix.NFT_MSG_GETTABLE, s.table},
		{unix.NFT_MSG_GETCHAIN, s.chain},
		{unix.NFT_MSG_GETRULE, s.rule},
	} {
		if err := conn.Ask(nfnetlink.Message{Type: kind(dump.command), Flags: unix.NLM_F_DUMP}, dump.read); err != nil {
			return nil, err
		}
	}
	if now, err := getGeneration(conn); err != nil || now != generation {
		return nil, errors.Join(err, nfnetlink.ErrInterrupted)
	}
	if s.Guard != GuardAbsent && len(s.hooks) != len(guardHooks()) {
		s.Guard = GuardSpoilt
	}
	return &s.Snapshot, nil
}

// reader fills a snapshot.
type reader struct {
	Snapshot
	hooks map[uint64]bool // at which the guard's chains hang
	rules int
}

func (s *reader) table(m nfnetlink.Message) error {
	name, flags := m.Attributes.Find(unix.NFTA_TABLE_NAME).Text(), uint32(m.Attributes.Find(unix.NFTA_TABLE_FLAGS).Number())
	switch {
	case isFilter(m.Family, name):
		s.Filter[m.Family] = &Table{Flags: flags, Chains: map[string]*Chain{}}
	case isGuard(m.Family, name):
		s.Guard = GuardSpoilt
		switch flags {
		case 0:
			s.Guard = GuardStanding
		case unix.NFT_TABLE_F_DORMANT:
			s.Guard = GuardResting
		}
	}
	return nil
}

func (s *reader) chain(m nfnetlink.Message) error {
	table := m.Attributes.Find(unix.NFTA_CHAIN_TABLE).Text()
	hook := m.Attributes.Find(unix.NFTA_CHAIN_HOOK)
	number := hook.Find(unix.NFTA_HOOK_HOOKNUM).Number()
	drop := hook != nil && m.Attributes.Find(unix.NFTA_CHAIN_POLICY).Number() == 0
	switch {
	case isFilter(m.Family, table) && s.Filter[m.Family] != nil:
		chain := &Chain{Drop: drop}
		if hook != nil {
			chain.Base = fmt.Sprintf("%s %d %d", m.Attributes.Find(unix.NFTA_CHAIN_TYPE).Text(), number, int32(hook.Find(unix.NFTA_HOOK_PRIORITY).Number()))
		}
		s.Filter[m.Family].Chains[m.Attributes.Find(unix.NFTA_CHAIN_NAME).Text()] = chain
	case isGuard(m.Family, table) && drop:
		s.hooks[number] = true
	case isGuard(m.Family, table):
		s.Guard = GuardSpoilt
	}
	return nil
}

func (s *reader) rule(m nfnetlink.Message) error {
	if s.rules++; s.rules > maxRules {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	table, name := m.Attributes.Find(unix.NFTA_RULE_TABLE).Text(), m.Attributes.Find(unix.NFTA_RULE_CHAIN).Text()
	expressions := m.Attributes.Find(unix.NFTA_RULE_EXPRESSIONS)
	var chain *Chain
	if isFilter(m.Family, table) && s.Filter[m.Family] != nil {
		chain = s.Filter[m.Family].Chains[name]
	}
	switch {
	case chain != nil:
		chain.Rules = append(chain.Rules, newRule(expressions, m.Attributes.Find(unix.NFTA_RULE_USERDATA)))
		if ours(name) {
			return nil
		}
	case isGuard(m.Family, table):
		s.Guard = GuardSpoilt
		return nil
	}
	if why := unsafeExpression(expressions); why != "" {
		s.Unsafe = append(s.Unsafe, fmt.Sprintf("%s in chain %s of table %s %s", why, name, familyName(m.Family), table))
	}
	return nil
}

// newRule makes the digest over a rule's expressions and its comment; counters are
// taken out of it.
func newRule(expressions, comment nfnetlink.Attributes) Rule {
	var rule Rule
	digest := sha256.New()
	for _, expression := range expressions.All() {
		name, data := expression.Find(unix.NFTA_EXPR_NAME), expression.Find(unix.NFTA_EXPR_DATA)
		if name.Text() == "counter" {
			rule.Packets = data.Find(unix.NFTA_COUNTER_PACKETS).Number()
			rule.Bytes = data.Find(unix.NFTA_COUNTER_BYTES).Number()
			data = nil
		}
		digest.Write(nfnetlink.Attributes{}.Bytes(1, name).Bytes(2, data))
	}
	digest.Write(nfnetlink.Attributes{}.Bytes(3, comment))
	copy(rule.Digest[:], digest.Sum(nil))
	return rule
}

func getGeneration(conn *nfnetlink.Conn) (uint32, error) {
	var generation uint32
	err := conn.Ask(nfnetlink.Message{Type: kind(unix.NFT_MSG_GETGEN)}, func(m nfnetlink.Message) error {
		generation = uint32(m.Attributes.Find(unix.NFTA_GEN_ID).Number())
		return nil
	})
	return generation, err
}

func kind(command uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | command }

// FilterTable is what iptables-nft calls its filter table.
const FilterTable = "filter"

func isFilter(family uint8, name string) bool {
	return name == FilterTable && (family == unix.NFPROTO_IPV4 || family == unix.NFPROTO_IPV6)
}

func familyName(family uint8) string {
	switch family {
	case unix.NFPROTO_IPV4:
		return "ip"
	case unix.NFPROTO_IPV6:
		return "ip6"
	case unix.NFPROTO_INET:
		return "inet"
	case unix.NFPROTO_ARP:
		return "arp"
	case unix.NFPROTO_BRIDGE:
		return "bridge"
	case unix.NFPROTO_NETDEV:
		return "netdev"
	}
	return fmt.Sprintf("family %d", family)
}
