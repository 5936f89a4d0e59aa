package peers

import "time"

// beginning is what a Store that has just begun does not know: which addresses have
// changed hands shortly before.
type beginning struct {
	at time.Time
	// early are the pods that were there and have not heard from this Store yet: they
	// may have been told of addresses that are somebody else's by now.
	early map[*pod]struct{}
	// looked is when it was looked last who of them has heard.
	looked time.Time
}

// lookEach is how often.
const lookEach = time.Second

// Begin is called when all that there is has been told. From now on pods are answered.
func (s *Store) Begin() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.begun != nil {
		return
	}
	s.begun = &beginning{at: s.now(), early: map[*pod]struct{}{}}
	for _, t := range s.tenants {
		if !t.Identity {
			continue
		}
		for _, n := range t.namespaces {
			for _, p := range n.pods {
				s.begun.early[p] = struct{}{}
			}
		}
	}
}

// beginEnded forgets who has heard, and in the end the beginning.
func (s *Store) beginEnded(now time.Time) {
	if s.begun == nil || s.begun.early == nil || now.Sub(s.begun.looked) < lookEach {
		return
	}
	s.begun.looked = now
	for p := range s.begun.early {
		if s.pod(p.Namespace, p.Name) != p || s.heard(p, 1, now) {
			delete(s.begun.early, p)
		}
	}
	if len(s.begun.early) == 0 || now.Sub(s.begun.at) >= s.lease+slack {
		s.begun.early = nil
	}
}

// tooYoung tells whether a pod may have an address that was another's before the Store
// began, and that somebody may still take for the other's.
func (s *Store) tooYoung(p *pod) bool {
	if s.begun.early == nil || s.begun.at.Sub(p.Created) > s.lease+slack {
		return false
	}
	for other := range s.begun.early {
		if other.namespace.owner() != p.namespace.owner() {
			return true
		}
	}
	return false
}
