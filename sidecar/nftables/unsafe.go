//go:build linux

package nftables

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// Other tables in a pod's network namespace are nobody's but the node's: a service
// mesh's CNI plugin redirects there, for one. They can drop more than Bulkhead does,
// and an accept of theirs takes nothing back, so most are none of its business:
//
//   - DNAT and REDIRECT happen in PREROUTING and OUTPUT before the filter table: the
//     rules judge what comes out of them. They leave the source alone.
//   - MASQUERADE gives a packet an address of the pod's own.
//   - marks, connection tracking, logs, limits, TPROXY change no address.
//
// The rest could let a packet pass as something else than what the rules judged: SNAT
// behind OUTPUT undoes the pinning of the source (P3, P4), a payload written in
// PREROUTING or POSTROUTING both, NFQUEUE lets a program write it, and a flow table,
// fwd or dup take packets past the hooks. Only these lists are taken for harmless;
// what nobody knows is not.

// harmless are expressions of nftables.
func harmless() []string {
	return []string{
		"bitwise", "byteorder", "cmp", "connlimit", "counter", "ct", "dynset", "exthdr", "fib", "hash",
		"immediate", "last", "limit", "log", "lookup", "masq", "match", "meta", "notrack", "numgen", "objref",
		"osf", "quota", "range", "redir", "reject", "rt", "socket", "tproxy", "tunnel", "xfrm",
	}
}

// harmlessTargets are targets of iptables (xtables).
func harmlessTargets() []string {
	return []string{
		"ACCEPT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "CT", "DNAT", "DROP", "DSCP", "ECN", "HL", "LOG",
		"MARK", "MASQUERADE", "NFLOG", "NOTRACK", "REDIRECT", "REJECT", "RETURN", "SECMARK", "TCPMSS", "TOS", "TPROXY",
		"TRACE", "TTL",
	}
}

// ours says whether a chain of the filter table is Bulkhead's or a built-in one: the
// rules there are compared with what is planned.
func ours(chain string) bool {
	return strings.HasPrefix(chain, "BULKHEAD-") || slices.Contains([]string{"INPUT", "OUTPUT", "FORWARD"}, chain)
}

// unsafeExpression names the first of a rule's expressions that is not harmless, or
// nothing.
func unsafeExpression(expressions nfnetlink.Attributes) string {
	for _, expression := range expressions.All() {
		name, data := expression.Find(unix.NFTA_EXPR_NAME).Text(), expression.Find(unix.NFTA_EXPR_DATA)
		switch {
		case slices.Contains(harmless(), name):
		case name == "payload" && data.Find(unix.NFTA_PAYLOAD_SREG) == nil: // read, not written
		case name == "nat" && data.Find(unix.NFTA_NAT_TYPE).Number() == unix.NFT_NAT_DNAT:
		case name == "target":
			if target := data.Find(unix.NFTA_TARGET_NAME).Text(); !slices.Contains(harmlessTargets(), target) {
				return target
			}
		case name == "payload":
			return "a rewritten packet"
		case name == "nat":
			return "SNAT"
		default:
			return name
		}
	}
	return ""
}
