package protocol

import (
	"cmp"
	"net/netip"
)

const (
	// PeersPath is where a sidecar asks for the stream of its peers, with Upgrade as
	// the protocol to change to.
	PeersPath = "/v1/peers"
	// Upgrade names the stream's protocol. Another version of it is another name.
	Upgrade = "bulkhead-peers/1"
	// ConnectedPath is where it is told how many streams each tenant has, to whoever
	// may get it (see package feed).
	ConnectedPath = "/v1/connected"
)

// The bounds of a stream.
const (
	// MaxLine is the length of a line to a sidecar, the newline included.
	MaxLine = 1 << 20
	// MaxLineToServer is the length of a line to the server.
	MaxLineToServer = 8 << 10
	// MaxEntries is how many addresses and ports one line holds in all: so many of the
	// longest are shorter than MaxLine. A longer snapshot goes on in the next line, a
	// longer change is several deltas.
	MaxEntries = 8192
	// MaxPeers, MaxDenied and MaxOpen bound what a sidecar is told in all.
	MaxPeers  = 1 << 18
	MaxDenied = 1 << 16
	MaxOpen   = 1 << 16
	// MaxRanges bounds each list of ranges: each is a rule that every packet meets.
	MaxRanges = 256
	// MaxAddresses of a pod.
	MaxAddresses = 64
	// MaxLeaseMilliseconds is an hour.
	MaxLeaseMilliseconds = 3_600_000
)

// ToServer is a line from a sidecar: exactly one field is set.
type ToServer struct {
	// Hello is the first line, and only that.
	Hello *Hello `json:"hello,omitempty"`
	// Ack is the version that is applied in the kernel, of a snapshot or a delta. It
	// is also the answer to a heartbeat.
	Ack *uint64 `json:"ack,omitempty"`
}

// Hello says who is there. Whose pod it is, only the token says.
type Hello struct {
	// Addresses are the pod's global ones. They can make the pod wait (see Held), and
	// are believed in nothing else.
	Addresses []netip.Addr `json:"addresses"`
	// Revision is the last one that the pod was told, by whomever; 0: none. A replica
	// that knows less lets the pod wait: else it would hear again of an address that it
	// has let go of.
	Revision uint64 `json:"revision,omitempty"`
}

// ToSidecar is a line from the server: exactly one field is set. Each renews the
// lease.
type ToSidecar struct {
	Snapshot *Snapshot `json:"snapshot,omitempty"`
	Delta    *Delta    `json:"delta,omitempty"`
	// Heartbeat is the version that the server has told.
	Heartbeat *uint64 `json:"heartbeat,omitempty"`
	Held      *Held   `json:"held,omitempty"`
}

// Snapshot is all that the sidecar needs to know. It replaces what was known.
type Snapshot struct {
	Version uint64 `json:"version"`
	// LeaseMilliseconds is how long what was told counts after the last line.
	LeaseMilliseconds int64 `json:"leaseMilliseconds"`
	// Revision is how much of the cluster's history counts here: the same, and rising,
	// for all replicas. It means nothing to the sidecar (see Hello).
	Revision uint64  `json:"revision,omitempty"`
	Cluster  Cluster `json:"cluster"`
	// Peers are addresses of pods and Services that the pod may talk to.
	Peers []netip.Addr `json:"peers,omitempty"`
	// Denied are addresses outside the cluster by which other tenants can be reached.
	Denied []netip.Addr `json:"denied,omitempty"`
	// Open are the ports of the tenant's own pods that anybody may talk to.
	Open []Open `json:"open,omitempty"`
	// More says that the next line is a Snapshot too, of the same version, lease and
	// ranges, that goes on with this one. It counts from its last line on.
	More bool `json:"more,omitempty"`
}

// Delta changes what was told before: first all Removes, then all Adds. Its version is
// one more than that before.
type Delta struct {
	Version      uint64       `json:"version"`
	Revision     uint64       `json:"revision,omitempty"`
	Remove       []netip.Addr `json:"remove,omitempty"`
	RemoveDenied []netip.Addr `json:"removeDenied,omitempty"`
	RemoveOpen   []Open       `json:"removeOpen,omitempty"`
	Add          []netip.Addr `json:"add,omitempty"`
	AddDenied    []netip.Addr `json:"addDenied,omitempty"`
	AddOpen      []Open       `json:"addOpen,omitempty"`
	// Cluster replaces the ranges if it is set.
	Cluster *Cluster `json:"cluster,omitempty"`
}

// Cluster are the cluster's own ranges, as few as possible: inside them, what is no
// peer is dropped.
type Cluster struct {
	Pods     []netip.Prefix `json:"pods,omitempty"`
	Services []netip.Prefix `json:"services,omitempty"`
	Nodes    []netip.Prefix `json:"nodes,omitempty"`
}

// Open is a port of a pod that anybody may talk to.
type Open struct {
	Address  netip.Addr `json:"address"`
	Protocol string     `json:"protocol"` // one of Protocols
	Port     uint16     `json:"port"`
}

// Compare puts Opens in an order.
func (o Open) Compare(other Open) int {
	return cmp.Or(o.Address.Compare(other.Address), cmp.Compare(o.Protocol, other.Protocol), cmp.Compare(o.Port, other.Port))
}

// Protocols are those of an Open.
func Protocols() []string { return []string{"tcp", "udp", "sctp"} }

// Connected is the answer at ConnectedPath: how many pods of each tenant hear of their
// peers from this replica.
type Connected struct {
	Tenants map[string]int `json:"tenants"`
}

// Held says that the snapshot waits, and why: an address of the pod was another
// tenant's a moment ago, and there may be somebody who still takes the one for the
// other.
type Held struct {
	Reason string `json:"reason"`
}
