package peers

import (
	"net/netip"
	"time"
)

// tomb stands for an address that somebody had: whoever was told of it may still take
// the next holder for the last one.
type tomb struct {
	address netip.Addr
	owner   owner
	until   time.Time
	waits   []wait
	// last is a pod that had not heard when it was looked last. It is asked first, as
	// there may be many tombs that wait for one of thousands of pods.
	last *pod
}

// wait is for the pods of a namespace to have applied a version.
type wait struct {
	namespace *namespace
	version   uint64
}

// sweepEach is how often all tombs are looked at, and not only those of addresses that
// another owner's pod waits for.
const sweepEach = time.Second

// bury remembers who was told of an address that its owner has no more: here, or by
// another Store, which may have found sooner that it may.
func (s *Store) bury(address netip.Addr, before told) *tomb {
	if len(before.audience) == 0 {
		return nil
	}
	next := s.holders[address].namespace()
	if next.owner() == before.owner {
		return nil
	}
	t := &tomb{address: address, owner: before.owner, until: s.now().Add(s.lease + slack)}
	for n := range before.audience {
		// The next owner's own pods may have it.
		if next == nil || n.owner() != next.owner() {
			t.waits = append(t.waits, wait{namespace: n})
		}
	}
	s.tombs[address] = append(s.tombs[address], t)
	return t
}

// setVersions is called when the removal has been told. Where nobody listened, whoever
// comes hears of a state without the address.
func (t *tomb) setVersions() {
	for i := range t.waits {
		t.waits[i].version = 1
		if n := t.waits[i].namespace; n.view != nil {
			t.waits[i].version = n.version
		}
	}
}

// haunted tells whether somebody may still take the address for another owner's.
func (s *Store) haunted(address netip.Addr, by owner) bool {
	found := false
	for _, t := range s.tombs[address] {
		if t.owner != by {
			found = true
			s.wanted[t] = struct{}{}
		}
	}
	return found
}

// laid tells whether the tomb is over: everybody has let go, or must have.
func (s *Store) laid(t *tomb, now time.Time) bool {
	if !now.Before(t.until) {
		return true
	}
	for _, w := range t.waits {
		if t.last != nil && w.namespace.pods[t.last.Name] == t.last && w.on(s, t.last, now) {
			return false
		}
	}
	for _, w := range t.waits {
		for _, p := range w.namespace.pods {
			if w.on(s, p, now) {
				t.last = p
				return false
			}
		}
	}
	return true
}

// on tells whether it is a wait for a pod of its namespace. Fixed ranges have no peers
// from here.
func (w wait) on(s *Store, p *pod, now time.Time) bool {
	fixed := w.namespace.tenant != nil && !w.namespace.tenant.Identity
	return !fixed && !s.heard(p, w.version, now)
}

// heard tells whether a pod, if it may run, has applied a version. One that another has
// taken all addresses from does not run.
func (s *Store) heard(p *pod, version uint64, now time.Time) bool {
	if !p.Listens || !p.Scheduled || p.ended(now) || len(p.lost) > 0 && len(p.lost) == len(p.Addresses) {
		return true
	}
	members := s.members[p.UID]
	for _, m := range members {
		if m.acked.Load() < version {
			return false
		}
	}
	return len(members) > 0
}

// Tick does what time does: it ends pods and tombs. Call it often; it is cheap.
func (s *Store) Tick() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	now := s.now()
	s.end(now)
	s.beginEnded(now)
	for t := range s.wanted {
		if s.laid(t, now) {
			s.remove(t)
		}
	}
	if now.Sub(s.swept) < sweepEach {
		return
	}
	s.swept = now
	for _, tombs := range s.tombs {
		for _, t := range tombs {
			if !now.Before(t.until) {
				s.remove(t)
			}
		}
	}
}

// remove tells the address to whom it may be told now.
func (s *Store) remove(t *tomb) {
	s.change(concern{addresses: []netip.Addr{t.address}}, func() {
		delete(s.wanted, t)
		var rest []*tomb
		for _, other := range s.tombs[t.address] {
			if other != t {
				rest = append(rest, other)
			}
		}
		if s.tombs[t.address] = rest; len(rest) == 0 {
			delete(s.tombs, t.address)
		}
	})
}
