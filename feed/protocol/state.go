package protocol

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// State is what a sidecar has been told: the last snapshot and the deltas since. The
// zero State has been told nothing.
type State struct {
	// Complete is false until the first whole snapshot.
	Complete bool
	Version  uint64
	// Revision is for the next Hello.
	Revision uint64
	Lease    time.Duration
	Cluster  Cluster
	Peers    map[netip.Addr]struct{}
	Denied   map[netip.Addr]struct{}
	Open     map[Open]struct{}

	next *State // a snapshot whose last line is not in
}

// Apply takes a valid line. After an error the state is as before, and the stream
// cannot be gone on with: ask anew. Changed tells whether there is something to apply
// and to acknowledge.
func (s *State) Apply(m *ToSidecar) (changed bool, err error) {
	if s.next != nil && m.Snapshot == nil {
		return false, errors.New("a snapshot is not whole")
	}
	switch {
	case m.Snapshot != nil:
		return s.snapshot(m.Snapshot)
	case m.Delta != nil:
		return true, s.delta(m.Delta)
	case m.Heartbeat != nil && s.Complete && *m.Heartbeat != s.Version:
		return false, fmt.Errorf("the server is at version %d, not %d", *m.Heartbeat, s.Version)
	}
	return false, nil
}

func (s *State) snapshot(m *Snapshot) (whole bool, err error) {
	next := s.next
	if next == nil {
		next = &State{
			Complete: true, Version: m.Version, Revision: m.Revision, Lease: time.Duration(m.LeaseMilliseconds) * time.Millisecond, Cluster: m.Cluster,
			Peers: map[netip.Addr]struct{}{}, Denied: map[netip.Addr]struct{}{}, Open: map[Open]struct{}{},
		}
	}
	if next.Version != m.Version {
		return false, fmt.Errorf("a snapshot of version %d goes on with %d", next.Version, m.Version)
	}
	add(next.Peers, m.Peers)
	add(next.Denied, m.Denied)
	add(next.Open, m.Open)
	if err := next.bounded(); err != nil {
		return false, err
	}
	if m.More {
		s.next = next
		return false, nil
	}
	*s = *next
	return true, nil
}

func (s *State) delta(d *Delta) error {
	if !s.Complete || d.Version != s.Version+1 {
		return fmt.Errorf("a delta of version %d on %d", d.Version, s.Version)
	}
	if len(s.Peers)+len(d.Add) > MaxPeers || len(s.Denied)+len(d.AddDenied) > MaxDenied || len(s.Open)+len(d.AddOpen) > MaxOpen {
		return errTooMany
	}
	remove(s.Peers, d.Remove)
	remove(s.Denied, d.RemoveDenied)
	remove(s.Open, d.RemoveOpen)
	add(s.Peers, d.Add)
	add(s.Denied, d.AddDenied)
	add(s.Open, d.AddOpen)
	if d.Cluster != nil {
		s.Cluster = *d.Cluster
	}
	s.Version, s.Revision = d.Version, max(s.Revision, d.Revision)
	return nil
}

var errTooMany = errors.New("more entries than a sidecar takes")

func (s *State) bounded() error {
	if len(s.Peers) > MaxPeers || len(s.Denied) > MaxDenied || len(s.Open) > MaxOpen {
		return errTooMany
	}
	return nil
}

func add[T comparable](to map[T]struct{}, all []T) {
	for _, one := range all {
		to[one] = struct{}{}
	}
}

func remove[T comparable](from map[T]struct{}, all []T) {
	for _, one := range all {
		delete(from, one)
	}
}
