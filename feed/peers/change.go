package peers

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// concern is what a change may change.
type concern struct {
	addresses []netip.Addr // of pods and Services
	externals []netip.Addr
}

// told is where, and how, an address is told.
type told struct {
	owner owner
	// audience may be told, here or by another Store; peers are.
	audience, peers map[*namespace]bool
	opens           []protocol.Open
	own             []*namespace // who hears of the opens
}

func (s *Store) toldOf(address netip.Addr) told {
	from := s.holders[address].namespace()
	now := told{owner: from.owner(), audience: s.audience(address), opens: s.opens(address)}
	if !s.haunted(address, now.owner) {
		now.peers = now.audience
	}
	if len(now.opens) > 0 {
		now.own = from.tenant.namespaces
	}
	return now
}

// change does what mutate does, and tells whoever listens what it changed of the
// concern: first what is no more.
func (s *Store) change(c concern, mutate func()) {
	c.addresses, c.externals = distinct(c.addresses), distinct(c.externals)
	before, deniedBefore := make([]told, len(c.addresses)), s.deniedTo(c.externals)
	for i, address := range c.addresses {
		before[i] = s.toldOf(address)
	}
	mutate()
	fresh := make([]*tomb, 0, 2)
	for i, address := range c.addresses {
		if t := s.bury(address, before[i]); t != nil {
			fresh = append(fresh, t)
		}
	}
	d := deltas{}
	for i, address := range c.addresses {
		d.peers(address, before[i], s.toldOf(address))
	}
	for n, after := range s.deniedTo(c.externals) {
		d.denied(n, c.externals, deniedBefore[n], after)
	}
	d.publish(s.revision)
	for _, t := range fresh {
		t.setVersions()
	}
}

// deniedTo tells of each namespace that listens which of the external addresses it must
// not reach. All of a tenant's have one answer.
func (s *Store) deniedTo(externals []netip.Addr) map[*namespace][]bool {
	if len(externals) == 0 {
		return nil
	}
	all, byTenant := map[*namespace][]bool{}, map[*tenant][]bool{}
	for _, n := range s.namespaces {
		if n.view == nil {
			continue
		}
		if byTenant[n.tenant] == nil {
			denied := make([]bool, len(externals))
			for i, address := range externals {
				denied[i] = s.denied(n.tenant, address)
			}
			byTenant[n.tenant] = denied
		}
		all[n] = byTenant[n.tenant]
	}
	return all
}

// deltas are what namespaces that listen will be told.
type deltas map[*namespace]*protocol.Delta

func (d deltas) of(n *namespace) *protocol.Delta {
	if d[n] == nil {
		d[n] = &protocol.Delta{}
	}
	return d[n]
}

func (d deltas) peers(address netip.Addr, before, after told) {
	for n := range before.peers {
		if n.view != nil && !after.peers[n] {
			d.of(n).Remove = append(d.of(n).Remove, address)
		}
	}
	for n := range after.peers {
		if n.view != nil && !before.peers[n] {
			d.of(n).Add = append(d.of(n).Add, address)
		}
	}
	for _, n := range before.own {
		if gone := without(before.opens, after, n); n.view != nil && len(gone) > 0 {
			d.of(n).RemoveOpen = append(d.of(n).RemoveOpen, gone...)
		}
	}
	for _, n := range after.own {
		if added := without(after.opens, before, n); n.view != nil && len(added) > 0 {
			d.of(n).AddOpen = append(d.of(n).AddOpen, added...)
		}
	}
}

// without are the opens that are not among those that the namespace is told otherwise.
func without(opens []protocol.Open, other told, n *namespace) []protocol.Open {
	if !slices.Contains(other.own, n) {
		return opens
	}
	return slices.DeleteFunc(slices.Clone(opens), func(o protocol.Open) bool { return slices.Contains(other.opens, o) })
}

// denied compares what the namespace must not reach before, nil for nothing, and after.
func (d deltas) denied(n *namespace, externals []netip.Addr, before, after []bool) {
	for i, address := range externals {
		switch was := before != nil && before[i]; {
		case was && !after[i]:
			d.of(n).RemoveDenied = append(d.of(n).RemoveDenied, address)
		case !was && after[i]:
			d.of(n).AddDenied = append(d.of(n).AddDenied, address)
		}
	}
}

func (d deltas) publish(revision uint64) {
	for n, delta := range d {
		delta.Revision = revision
		n.publish(delta)
	}
}

func distinct(all []netip.Addr) []netip.Addr {
	if len(all) < 2 {
		return all
	}
	set := map[netip.Addr]bool{}
	for _, one := range all {
		set[one] = true
	}
	return slices.Collect(maps.Keys(set))
}
