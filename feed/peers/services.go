package peers

import (
	"net/netip"
	"slices"
)

// SetService takes a Service that is new or has changed.
func (s *Store) SetService(v Service) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.setService(v)
}

// DeleteService forgets a Service that is no more.
func (s *Store) DeleteService(namespace, name string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.deleteService(namespace, name)
}

// ReplaceServices takes all Services that there are: others are no more.
func (s *Store) ReplaceServices(services []Service) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	there := make(map[reference]bool, len(services))
	for i := range services {
		there[reference{services[i].Namespace, services[i].Name}] = true
	}
	var gone []reference
	for _, n := range s.namespaces {
		for name := range n.services {
			if ref := (reference{n.name, name}); !there[ref] {
				gone = append(gone, ref)
			}
		}
	}
	for _, ref := range gone {
		s.deleteService(ref.namespace, ref.service)
	}
	for i := range services {
		s.setService(services[i])
	}
}

// maxExternal bounds the external addresses of a namespace's Services: all other tenants'
// pods are told each of them, and must have room for all. Others may reach what is more,
// as far as the firewalls behind it let them (threat A10).
const maxExternal = 1024

func (s *Store) setService(spec Service) {
	if len(spec.External) > 0 {
		spec.External = spec.External[:min(len(spec.External), s.externalRoom(spec.Namespace, spec.Name))]
	}
	old := s.service(spec.Namespace, spec.Name)
	if old != nil && old.same(&spec) {
		return
	}
	concern := s.concernOf(&spec)
	if old != nil {
		concern = concern.and(s.concernOf(&old.Service))
	}
	s.change(concern, func() {
		if old != nil {
			s.removeService(old)
		}
		n := s.namespace(spec.Namespace)
		v := &service{Service: spec, namespace: n}
		n.services[spec.Name] = v
		for _, address := range spec.Addresses {
			s.holders[address] = holder{service: v}
		}
		for _, address := range spec.External {
			s.externals[address] = append(s.externals[address], v)
		}
	})
}

// externalRoom is how many external addresses the Service of that name may have.
func (s *Store) externalRoom(namespace, name string) int {
	room := maxExternal
	if n := s.namespaces[namespace]; n != nil {
		for _, v := range n.services {
			if v.Name != name {
				room -= len(v.External)
			}
		}
	}
	return max(0, room)
}

func (s *Store) service(namespace, name string) *service {
	if n := s.namespaces[namespace]; n != nil {
		return n.services[name]
	}
	return nil
}

func (v *service) same(other *Service) bool {
	return slices.Equal(v.Addresses, other.Addresses) && slices.Equal(v.External, other.External) &&
		v.Selector.equal(other.Selector) && slices.Equal(v.Ports, other.Ports)
}

func (s *Store) deleteService(namespace, name string) {
	v := s.service(namespace, name)
	if v == nil {
		return
	}
	s.change(s.concernOf(&v.Service), func() { s.removeService(v) })
	s.tidy(v.namespace)
}

func (s *Store) removeService(v *service) {
	for _, address := range v.Addresses {
		if s.holders[address].service == v {
			delete(s.holders, address)
		}
	}
	for _, address := range v.External {
		rest := slices.DeleteFunc(slices.Clone(s.externals[address]), func(other *service) bool { return other == v })
		if s.externals[address] = rest; len(rest) == 0 {
			delete(s.externals, address)
		}
	}
	delete(v.namespace.services, v.Name)
}

// concernOf is what hangs on a Service: its addresses and, where somebody shares it or
// it is public, those of the pods that it selects.
func (s *Store) concernOf(v *Service) concern {
	c := concern{addresses: v.Addresses, externals: v.External}
	n := s.namespaces[v.Namespace]
	if n == nil || !s.referred(n, v.Name) {
		return c
	}
	c.addresses = slices.Concat(c.addresses, n.selected(v.Selector))
	return c
}

func (s *Store) referred(n *namespace, name string) bool {
	ref := reference{n.name, name}
	return n.tenant != nil && slices.Contains(n.tenant.public, ref) ||
		slices.ContainsFunc(s.sharers[n.name], func(t *tenant) bool { return slices.Contains(t.shared, ref) })
}

// selected are the addresses of the pods that a selector selects.
func (n *namespace) selected(selector Labels) []netip.Addr {
	var all []netip.Addr
	for _, p := range n.pods {
		if selector.selects(p.Labels) {
			all = append(all, p.Addresses...)
		}
	}
	return all
}

func (c concern) and(other concern) concern {
	return concern{slices.Concat(c.addresses, other.addresses), slices.Concat(c.externals, other.externals)}
}
