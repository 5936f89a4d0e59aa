package peers

import (
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// audience are the namespaces whose pods may talk to the address, once nobody takes it
// for another's any more.
func (s *Store) audience(address netip.Addr) map[*namespace]bool {
	h := s.holders[address]
	from := h.namespace()
	if from == nil || !s.tellable(h, address) {
		return nil
	}
	told := map[*namespace]bool{}
	if own := from.tenant; own != nil {
		own.tell(told)
		if h.pod != nil {
			for _, host := range own.hosts(s) { // where it is a guest
				told[host] = true
			}
		}
	}
	for _, t := range s.sharers[from.name] {
		if t.shares(h) {
			t.tell(told)
		}
	}
	return told
}

// hears tells whether the address is in the namespace's view: the same as audience, asked
// from the other end.
func (s *Store) hears(n *namespace, address netip.Addr) bool {
	h := s.holders[address]
	from := h.namespace()
	if from == nil || !s.tellable(h, address) || s.haunted(address, from.owner()) {
		return false
	}
	return from.tenant == n.tenant || n.tenant.shares(h) ||
		h.pod != nil && from.tenant != nil && slices.Contains(from.tenant.hosts(s), n)
}

// tellable: addresses outside the cluster's own ranges are nobody's peers, whoever says
// so: a peer's rule would stand before the one that denies nodes.
func (s *Store) tellable(h holder, address netip.Addr) bool {
	if h.service != nil {
		return holds(s.cluster.Services, address)
	}
	return holds(s.cluster.Pods, address)
}

// tell adds the tenant's namespaces.
func (t *tenant) tell(told map[*namespace]bool) {
	for _, n := range t.namespaces {
		told[n] = true
	}
}

// hosts are the namespaces of other tenants that this tenant shares: sharing is both
// ways.
func (t *tenant) hosts(s *Store) []*namespace {
	var hosts []*namespace
	for _, ref := range t.shared {
		if n := s.namespaces[ref.namespace]; ref != apiServer() && n != nil && n.tenant != nil && n.tenant != t && !slices.Contains(hosts, n) {
			hosts = append(hosts, n)
		}
	}
	return hosts
}

// shares tells whether the tenant shares what has an address.
func (t *tenant) shares(h holder) bool {
	from := h.namespace()
	if t == from.tenant {
		return false // its own, anyway
	}
	return slices.ContainsFunc(t.shared, func(ref reference) bool {
		switch {
		case ref.namespace != from.name:
			return false
		case ref.service == "":
			return true
		case h.service != nil:
			return h.service.Name == ref.service
		}
		selecting := from.services[ref.service]
		return ref != apiServer() && selecting != nil && selecting.Selector.selects(h.pod.Labels)
	})
}

// apiServer is shared with everybody unless the configuration says otherwise. Behind it
// are nodes: a tenant that owns its namespace must not become everybody's peer by giving
// it a selector, nor everybody its guest.
func apiServer() reference { return reference{"default", "kubernetes"} }

// opens are the ports of public Services on the address.
func (s *Store) opens(address netip.Addr) []protocol.Open {
	p := s.holders[address].pod
	if p == nil || p.namespace.tenant == nil || !s.tellable(holder{pod: p}, address) || s.haunted(address, p.namespace.owner()) {
		return nil
	}
	var all []protocol.Open
	for _, ref := range p.namespace.tenant.public {
		public := p.namespace.services[ref.service]
		if ref.namespace != p.namespace.name || public == nil || !public.Selector.selects(p.Labels) {
			continue
		}
		for _, target := range public.Ports {
			port := p.resolve(target)
			if open := (protocol.Open{Address: address, Protocol: target.Protocol, Port: port}); port != 0 && !slices.Contains(all, open) {
				all = append(all, open)
			}
		}
	}
	return all
}

// resolve is the port's number on the pod; 0: the pod has none of that name.
func (p *pod) resolve(target TargetPort) uint16 {
	if target.Port != 0 {
		return target.Port
	}
	for _, named := range p.Ports {
		if named.Name == target.Name && named.Protocol == target.Protocol {
			return named.Port
		}
	}
	return 0
}

// denied tells whether the tenant must not reach an external address: it leads to
// another tenant by a Service that is not public (S2). Addresses of the cluster's own
// ranges are denied as such.
func (s *Store) denied(t *tenant, address netip.Addr) bool {
	if holds(s.cluster.Pods, address) || holds(s.cluster.Services, address) {
		return false
	}
	return slices.ContainsFunc(s.externals[address], func(v *service) bool {
		other := v.namespace.tenant
		return other != nil && other != t && !slices.Contains(other.public, reference{v.Namespace, v.Name})
	})
}
