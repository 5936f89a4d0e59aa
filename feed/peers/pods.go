package peers

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// SetPod takes a pod that is new or has changed. The revision is the change's place in
// the history of all pods, as every Store hears of it; 0: not known.
func (s *Store) SetPod(p Pod, revision uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.revision = max(s.revision, revision)
	s.setPod(p)
}

// DeletePod forgets a pod that is no more.
func (s *Store) DeletePod(namespace, name string, revision uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.revision = max(s.revision, revision)
	s.deletePod(namespace, name)
}

// ReplacePods takes all pods that there are: others are no more. Of pods that are not
// known yet and have the same address, the youngest has it.
func (s *Store) ReplacePods(pods []Pod, revision uint64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.revision = max(s.revision, revision)
	type key struct{ namespace, name string }
	there := make(map[key]bool, len(pods))
	for i := range pods {
		there[key{pods[i].Namespace, pods[i].Name}] = true
	}
	var gone []key
	for _, n := range s.namespaces {
		for name := range n.pods {
			if k := (key{n.name, name}); !there[k] {
				gone = append(gone, k)
			}
		}
	}
	for _, k := range gone {
		s.deletePod(k.namespace, k.name)
	}
	slices.SortFunc(pods, func(a, b Pod) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for i := range pods {
		s.setPod(pods[i])
	}
}

func (s *Store) setPod(spec Pod) {
	if old := s.pod(spec.Namespace, spec.Name); old != nil && old.UID != spec.UID {
		s.deletePod(spec.Namespace, spec.Name)
	}
	old := s.pod(spec.Namespace, spec.Name)
	concern := concern{addresses: spec.Addresses}
	if old != nil {
		if old.same(&spec) {
			if old.Deadline = spec.Deadline; !old.ended(s.now()) {
				s.awaitEnd(old)
				return
			}
		}
		concern.addresses = slices.Concat(old.Addresses, spec.Addresses)
	}
	s.change(concern, func() {
		p := old
		if p == nil {
			n := s.namespace(spec.Namespace)
			p = &pod{namespace: n}
			n.pods[spec.Name] = p
		}
		before := p.Addresses
		p.Pod = spec
		s.claim(p, before)
		s.awaitEnd(p)
	})
	if p := s.pod(spec.Namespace, spec.Name); p.ended(s.now()) {
		s.cut(p.UID, "the pod has ended")
	}
}

func (s *Store) pod(namespace, name string) *pod {
	if n := s.namespaces[namespace]; n != nil {
		return n.pods[name]
	}
	return nil
}

// same tells whether nothing differs but the deadline, if that is only set.
func (p *pod) same(other *Pod) bool {
	return slices.Equal(p.Addresses, other.Addresses) && p.Labels.equal(other.Labels) && slices.Equal(p.Ports, other.Ports) &&
		p.Scheduled == other.Scheduled && p.Listens == other.Listens && p.Ended == other.Ended && (p.Deadline.IsZero() || p.Deadline.Equal(other.Deadline))
}

func (p *pod) ended(now time.Time) bool {
	return p.Ended || !p.Deadline.IsZero() && !now.Before(p.Deadline)
}

// claim gives the pod its addresses, but for those that another one has claimed after
// it, and takes what it has no more.
func (s *Store) claim(p *pod, before []netip.Addr) {
	claimed := p.Addresses
	if p.ended(s.now()) {
		claimed = nil
	}
	for _, address := range before {
		if !slices.Contains(claimed, address) && s.holders[address].pod == p {
			delete(s.holders, address)
		}
	}
	p.lost = slices.DeleteFunc(p.lost, func(address netip.Addr) bool { return !slices.Contains(p.Addresses, address) })
	for _, address := range claimed {
		other := s.holders[address]
		switch {
		case other.pod == p || slices.Contains(p.lost, address):
			continue
		case other.pod != nil && slices.Contains(before, address):
			continue // claimed by another while this one had seemed to have ended
		case other.pod != nil:
			other.pod.lost = append(other.pod.lost, address)
		case other.service != nil:
			continue
		}
		s.holders[address] = holder{pod: p}
	}
}

// awaitEnd has Tick look at a pod that is being deleted.
func (s *Store) awaitEnd(p *pod) {
	if p.Deadline.IsZero() || p.ended(s.now()) {
		delete(s.ending, p)
		return
	}
	s.ending[p] = struct{}{}
}

func (s *Store) deletePod(namespace, name string) {
	p := s.pod(namespace, name)
	if p == nil {
		return
	}
	s.change(concern{addresses: p.Addresses}, func() {
		for _, address := range p.Addresses {
			if s.holders[address].pod == p {
				delete(s.holders, address)
			}
		}
		delete(p.namespace.pods, name)
		delete(s.ending, p)
	})
	s.cut(p.UID, "the pod is gone")
	s.tidy(p.namespace)
}

// end takes the addresses of pods whose deadline is over.
func (s *Store) end(now time.Time) {
	for p := range s.ending {
		if !p.ended(now) {
			continue
		}
		s.change(concern{addresses: p.Addresses}, func() {
			s.claim(p, p.Addresses)
			delete(s.ending, p)
		})
		s.cut(p.UID, "the pod has ended")
	}
}
