package peers

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// BenchmarkTickWhileHeld is what the Store costs, each time that it looks, while one pod
// of a thousand keeps five hundred of another tenant's waiting: everybody waits for it.
func BenchmarkTickWhileHeld(b *testing.B) {
	w := &world{Store: NewStore(Options{Lease: time.Hour})}
	if err := w.SetCluster(testCluster); err != nil {
		b.Fatal(err)
	}
	w.SetTenants([]Tenant{{Name: "a", Namespaces: []string{"a"}, Identity: true}, {Name: "b", Namespaces: []string{"b"}, Identity: true}})
	w.Begin()
	address := func(kind, i int) string { return netip.AddrFrom4([4]byte{10, 0, byte(kind + i>>8), byte(i)}).String() }
	for i := range 1000 {
		p := w.runs("a", fmt.Sprint(i), address(0, i))
		m, err := w.Join(PodRef{p.Namespace, p.Name, p.UID}, protocol.Hello{})
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			continue
		}
		if _, _, held, err := m.Listen(); held != "" || err != nil {
			b.Fatal(held, err)
		}
		m.Ack(1 << 40)
	}
	for i := range 500 {
		w.runs("a", fmt.Sprint("old-", i), address(8, i))
	}
	for i := range 500 {
		w.DeletePod("a", fmt.Sprint("old-", i), 0)
		w.runs("b", fmt.Sprint("new-", i), address(8, i))
	}
	if len(w.wanted) != 500 {
		b.Fatalf("%d wait, not 500", len(w.wanted))
	}
	for b.Loop() {
		w.Tick()
	}
}
