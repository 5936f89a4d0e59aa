package peers

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// view is what the pods of a namespace hear. Whoever listens has a place in the list of
// its lines and goes on from there; what all have heard is garbage.
type view struct {
	last     *Line
	snapshot [][]byte // of the version and revision now; nil: to be made
	revision uint64   // of the snapshot
}

// Line is a delta, encoded once for all who hear it.
type Line struct {
	Version uint64
	Text    []byte
	next    *Line
	// more is closed when there is a next one.
	more chan struct{}
}

// More is closed when there is a Next.
func (l *Line) More() <-chan struct{} { return l.more }

// Next is the line after this one. There is one when More is closed.
func (l *Line) Next() *Line { return l.next }

func newLine(version uint64, text []byte) *Line {
	return &Line{Version: version, Text: text, more: make(chan struct{})}
}

// publish tells a delta to all who listen, in as many lines as it takes.
func (n *namespace) publish(d *protocol.Delta) {
	for _, part := range split(d) {
		n.version++
		part.Version = n.version
		text, err := protocol.Encode(protocol.ToSidecar{Delta: part})
		if err != nil {
			// Of addresses and numbers there is nothing that cannot be encoded.
			panic(err)
		}
		line := newLine(n.version, text)
		n.view.last.next = line
		close(n.view.last.more)
		n.view.last, n.view.snapshot = line, nil
	}
}

// split makes deltas of no more than MaxEntries, and removes before it adds.
func split(d *protocol.Delta) []*protocol.Delta {
	if d.Entries() <= protocol.MaxEntries {
		return []*protocol.Delta{d}
	}
	parts := []*protocol.Delta{{Cluster: d.Cluster, Revision: d.Revision}}
	room := func() *protocol.Delta {
		if last := parts[len(parts)-1]; last.Entries() < protocol.MaxEntries {
			return last
		}
		parts = append(parts, &protocol.Delta{Revision: d.Revision})
		return parts[len(parts)-1]
	}
	each(d.Remove, func(a netip.Addr) { to := room(); to.Remove = append(to.Remove, a) })
	each(d.RemoveOpen, func(o protocol.Open) { to := room(); to.RemoveOpen = append(to.RemoveOpen, o) })
	each(d.AddDenied, func(a netip.Addr) { to := room(); to.AddDenied = append(to.AddDenied, a) })
	each(d.RemoveDenied, func(a netip.Addr) { to := room(); to.RemoveDenied = append(to.RemoveDenied, a) })
	each(d.Add, func(a netip.Addr) { to := room(); to.Add = append(to.Add, a) })
	each(d.AddOpen, func(o protocol.Open) { to := room(); to.AddOpen = append(to.AddOpen, o) })
	return parts
}

func each[T any](all []T, do func(T)) {
	for _, one := range all {
		do(one)
	}
}

// lines are the snapshot of the namespace.
func (s *Store) lines(n *namespace) ([][]byte, error) {
	if n.view.snapshot != nil && n.view.revision == s.revision {
		return n.view.snapshot, nil
	}
	whole := s.snapshot(n)
	if len(whole.Peers) > protocol.MaxPeers || len(whole.Denied) > protocol.MaxDenied || len(whole.Open) > protocol.MaxOpen {
		return nil, fmt.Errorf("namespace %s has more peers than a sidecar takes", n.name)
	}
	var lines [][]byte
	for {
		part := whole
		part.Peers, whole.Peers = cut(whole.Peers, protocol.MaxEntries)
		part.Denied, whole.Denied = cut(whole.Denied, protocol.MaxEntries-len(part.Peers))
		part.Open, whole.Open = cut(whole.Open, protocol.MaxEntries-len(part.Peers)-len(part.Denied))
		part.More = len(whole.Peers)+len(whole.Denied)+len(whole.Open) > 0
		text, err := protocol.Encode(protocol.ToSidecar{Snapshot: &part})
		if err != nil {
			return nil, err
		}
		if lines = append(lines, text); !part.More {
			n.view.snapshot, n.view.revision = lines, s.revision
			return lines, nil
		}
	}
}

func cut[T any](all []T, at int) (first, rest []T) {
	at = min(at, len(all))
	return all[:at:at], all[at:]
}

// snapshot is all that the pods of a namespace need to know.
func (s *Store) snapshot(n *namespace) protocol.Snapshot {
	peers, open := map[netip.Addr]bool{}, map[protocol.Open]bool{}
	take := func(addresses []netip.Addr) {
		for _, address := range addresses {
			if !peers[address] && s.hears(n, address) {
				peers[address] = true
			}
		}
	}
	for _, own := range n.tenant.namespaces {
		all := own.all().addresses
		take(all)
		for _, address := range all {
			if s.holders[address].namespace() != own {
				continue // only seems to be its own
			}
			for _, o := range s.opens(address) {
				open[o] = true
			}
		}
	}
	for _, name := range n.tenant.sharedNamespaces() {
		if shared := s.namespaces[name]; shared != nil {
			take(shared.all().addresses)
		}
	}
	for _, guest := range s.sharers[n.name] {
		for _, theirs := range guest.namespaces {
			take(theirs.all().addresses)
		}
	}
	snapshot := protocol.Snapshot{Version: n.version, Revision: s.revision, LeaseMilliseconds: int64(s.lease / time.Millisecond), Cluster: s.cluster}
	for address := range peers {
		snapshot.Peers = append(snapshot.Peers, address)
	}
	for o := range open {
		snapshot.Open = append(snapshot.Open, o)
	}
	for address := range s.externals {
		if s.denied(n.tenant, address) {
			snapshot.Denied = append(snapshot.Denied, address)
		}
	}
	slices.SortFunc(snapshot.Peers, netip.Addr.Compare)
	slices.SortFunc(snapshot.Denied, netip.Addr.Compare)
	return snapshot
}
