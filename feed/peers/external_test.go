package peers

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestExternalsAreBounded: a tenant that gives its Services external addresses without
// end, which all others are to be kept from, leaves them a snapshot that they can take.
func TestExternalsAreBounded(t *testing.T) {
	s := NewStore(Options{})
	s.SetTenants([]Tenant{
		{Name: "alice", Namespaces: []string{"alice"}, Identity: true}, {Name: "bob", Namespaces: []string{"bob"}, Identity: true},
	})
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}) }
	const each, services = 100, 20
	service := func(i int) Service {
		v := Service{Namespace: "bob", Name: fmt.Sprint(i)}
		for j := range each {
			v.External = append(v.External, address(i*each+j))
		}
		return v
	}
	denied := func() (count int) {
		for i := range each * services {
			if s.Denied("alice", address(i)) {
				count++
			}
		}
		return count
	}
	for i := range services {
		s.SetService(service(i))
		s.SetService(service(i)) // again, which is nothing new
	}
	if got := denied(); got != maxExternal {
		t.Errorf("alice is kept from %d addresses, not %d", got, maxExternal)
	}
	s.DeleteService("bob", "0")
	s.SetService(service(services - 1))
	if got := denied(); got != maxExternal {
		t.Errorf("after one Service has made room alice is kept from %d addresses, not %d", got, maxExternal)
	}
}
