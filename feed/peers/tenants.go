package peers

import (
	"slices"
	"strings"
)

type tenant struct {
	Tenant
	name       string
	namespaces []*namespace
	shared     []reference // what every tenant shares among them
	public     []reference
}

// reference names a namespace, or a Service in it.
type reference struct{ namespace, service string }

func references(texts []string) []reference {
	all := make([]reference, len(texts))
	for i, text := range texts {
		all[i].namespace, all[i].service, _ = strings.Cut(text, "/")
	}
	return all
}

// SetTenants takes all Tenants that there are. A namespace that two of them name is
// nobody's: nobody can tell whose pods it has.
func (s *Store) SetTenants(all []Tenant) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	claims := map[string]int{}
	for i := range all {
		for _, name := range distinctNames(all[i].Namespaces) {
			claims[name]++
		}
	}
	next := make(map[string]Tenant, len(all))
	for _, t := range all {
		t.Namespaces = slices.DeleteFunc(distinctNames(t.Namespaces), func(name string) bool { return claims[name] > 1 })
		next[t.Name] = t
	}
	var gone, came []Tenant
	for name, t := range s.tenants {
		if after, ok := next[name]; !ok || !t.same(&after) {
			gone = append(gone, t.Tenant)
		}
	}
	for name, t := range next {
		if before := s.tenants[name]; before == nil || !before.same(&t) {
			came = append(came, t)
		}
	}
	if len(gone)+len(came) == 0 {
		return
	}
	var c concern
	for _, t := range slices.Concat(gone, came) {
		more := s.concernOfTenant(&t)
		c.addresses, c.externals = append(c.addresses, more.addresses...), append(c.externals, more.externals...)
	}
	s.change(c, func() { s.replaceTenants(gone, came) })
	for _, t := range gone {
		for _, name := range t.Namespaces {
			if n := s.namespaces[name]; n != nil {
				s.tidy(n)
			}
		}
	}
}

func distinctNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func (t *tenant) same(other *Tenant) bool {
	return t.Identity == other.Identity && slices.Equal(t.Namespaces, other.Namespaces) &&
		slices.Equal(t.Shared, other.Shared) && slices.Equal(t.Public, other.Public)
}

// replaceTenants ends the views of namespaces that change hands: their pods' firewalls
// are of the tenant before.
func (s *Store) replaceTenants(gone, came []Tenant) {
	owners := map[*namespace]string{}
	for _, t := range gone {
		old := s.tenants[t.Name]
		delete(s.tenants, t.Name)
		for _, n := range old.namespaces {
			owners[n] = t.Name
			n.tenant = nil
		}
		for _, name := range old.sharedNamespaces() {
			rest := slices.DeleteFunc(slices.Clone(s.sharers[name]), func(other *tenant) bool { return other == old })
			if s.sharers[name] = rest; len(rest) == 0 {
				delete(s.sharers, name)
			}
		}
	}
	for _, spec := range came {
		t := &tenant{Tenant: spec, name: spec.Name, shared: s.sharedBy(&spec), public: references(spec.Public)}
		s.tenants[spec.Name] = t
		for _, name := range spec.Namespaces {
			n := s.namespace(name)
			n.tenant = t
			t.namespaces = append(t.namespaces, n)
		}
		for _, name := range t.sharedNamespaces() {
			s.sharers[name] = append(s.sharers[name], t)
		}
	}
	for n, before := range owners {
		if n.tenant == nil || n.tenant.name != before {
			s.cutAll(n, "the pod's namespace has changed hands")
		}
	}
}

// sharedBy is what a tenant shares with others: its own it has anyway. Fixed ranges
// know no shared ones.
func (s *Store) sharedBy(t *Tenant) []reference {
	if !t.Identity {
		return nil
	}
	return slices.DeleteFunc(references(slices.Concat(t.Shared, s.shared)), func(ref reference) bool {
		return slices.Contains(t.Namespaces, ref.namespace)
	})
}

func (t *tenant) sharedNamespaces() []string {
	var names []string
	for _, ref := range t.shared {
		if !slices.Contains(names, ref.namespace) {
			names = append(names, ref.namespace)
		}
	}
	return names
}

// concernOfTenant is what a tenant's coming or going may change: who is told of its own
// addresses and of those that it shares. Its guests' are told anew with its namespaces'
// views, which begin and end with it.
func (s *Store) concernOfTenant(t *Tenant) concern {
	var c concern
	for _, name := range t.Namespaces {
		if n := s.namespaces[name]; n != nil {
			c = c.and(n.all())
		}
	}
	for _, ref := range s.sharedBy(t) {
		n := s.namespaces[ref.namespace]
		if n == nil {
			continue
		}
		if ref.service == "" {
			c.addresses = append(c.addresses, n.all().addresses...)
		} else if v := n.services[ref.service]; v != nil {
			c.addresses = slices.Concat(c.addresses, v.Addresses, n.selected(v.Selector))
		}
	}
	return c
}

func (n *namespace) all() concern {
	var c concern
	for _, p := range n.pods {
		c.addresses = append(c.addresses, p.Addresses...)
	}
	for _, v := range n.services {
		c.addresses = append(c.addresses, v.Addresses...)
		c.externals = append(c.externals, v.External...)
	}
	return c
}
