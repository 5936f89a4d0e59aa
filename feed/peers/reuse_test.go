package peers

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// TestReusedAddresses (S7): pods of three tenants take each other's addresses as soon as
// they are free, which is before the API server knows; two replicas hear of it late, each
// for itself; sidecars hear late too, change replicas, and believe what they know for a
// lease. Still, no pod hears of its peers while a pod of another tenant takes its address
// for a peer's.
func TestReusedAddresses(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			n := newNode(t, seed)
			for range 1000 {
				n.step()
				n.check()
				if t.Failed() {
					t.FailNow()
				}
			}
			if n.heard == 0 || n.held == 0 || n.reused == 0 {
				t.Errorf("%d snapshots, %d pods were held, %d addresses used again: nothing was tested", n.heard, n.held, n.reused)
			}
			if ended := len(n.replicas[0].tombs); ended > 100 {
				t.Errorf("%d addresses are remembered", ended)
			}
		})
	}
}

// node is where pods run: it knows before the API server what is true.
type node struct {
	*testing.T
	random   *rand.Rand
	clock    time.Time
	replicas []*replica
	pods     map[string]*running
	last     map[string]string // the last tenant that had an address
	next     int

	heard, held, reused int
}

// replica hears of everything in order, but late.
type replica struct {
	*world
	events []event
	told   uint64
}

type event struct {
	at time.Time
	do func(w *world, revision uint64)
}

// running is a pod, with what its firewall lets pass and until when.
type running struct {
	namespace, name, address string
	sidecar                  *sidecar // nil: not connected
	revision                 uint64   // the last one it was told
	knows                    map[netip.Addr]struct{}
	until                    time.Time
}

func newNode(t *testing.T, seed uint64) *node {
	n := &node{
		T: t, random: rand.New(rand.NewPCG(seed, 7)), clock: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC),
		pods: map[string]*running{}, last: map[string]string{},
	}
	for range 2 {
		r := &replica{world: newWorld(t)}
		r.SetTenants([]Tenant{
			{Name: "a", Namespaces: []string{"a"}, Identity: true}, {Name: "b", Namespaces: []string{"b"}, Identity: true},
			{Name: "c", Namespaces: []string{"c"}, Identity: true},
		})
		r.Begin()
		n.replicas = append(n.replicas, r)
	}
	return n
}

// tell has every replica hear of a change, each after less than a second.
func (n *node) tell(late time.Duration, do func(w *world, revision uint64)) {
	for _, r := range n.replicas {
		at := n.clock.Add(late + n.duration(time.Second))
		if len(r.events) > 0 && r.events[len(r.events)-1].at.After(at) {
			at = r.events[len(r.events)-1].at
		}
		r.events = append(r.events, event{at, do})
	}
}

func (n *node) duration(most time.Duration) time.Duration {
	return time.Duration(n.random.Int64N(int64(most)))
}

func (n *node) step() {
	switch n.random.IntN(6) {
	case 0:
		n.start()
	case 1:
		n.kill()
	}
	n.clock = n.clock.Add(n.duration(700 * time.Millisecond))
	for _, r := range n.replicas {
		r.clock = n.clock
		for len(r.events) > 0 && !r.events[0].at.After(n.clock) {
			r.told++
			r.events[0].do(r.world, r.told)
			r.events = r.events[1:]
		}
		r.Tick()
	}
	for _, name := range sortedKeys(n.pods) {
		n.listen(n.pods[name])
	}
}

func sortedKeys[T any](m map[string]T) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (n *node) start() {
	free := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}
	for _, p := range n.pods {
		free = slices.DeleteFunc(free, func(address string) bool { return address == p.address })
	}
	if len(free) == 0 {
		return
	}
	n.next++
	p := &running{namespace: pick(n.random, []string{"a", "b", "c"}), name: fmt.Sprintf("pod-%d", n.next), address: pick(n.random, free)}
	if before := n.last[p.address]; before != "" && before != p.namespace {
		n.reused++
	}
	n.last[p.address] = p.namespace
	n.pods[p.name] = p
	created := n.clock
	show := func(addresses ...string) func(*world, uint64) {
		return func(w *world, revision uint64) {
			w.SetPod(Pod{Namespace: p.namespace, Name: p.name, UID: p.namespace + "/" + p.name, Created: created, Scheduled: true, Listens: true, Addresses: addressesOf(addresses...)}, revision)
		}
	}
	n.tell(0, show())
	n.tell(n.duration(time.Second), show(p.address))
}

// kill frees the address before anybody hears of it.
func (n *node) kill() {
	if len(n.pods) == 0 {
		return
	}
	p := n.pods[pick(n.random, sortedKeys(n.pods))]
	delete(n.pods, p.name)
	if p.sidecar != nil {
		p.sidecar.Leave()
	}
	n.tell(n.duration(2*time.Second), func(w *world, revision uint64) { w.DeletePod(p.namespace, p.name, revision) })
}

// listen is what a pod's sidecar does, now and then.
func (n *node) listen(p *running) {
	if n.random.IntN(3) == 0 {
		return
	}
	if p.sidecar != nil {
		select {
		case <-p.sidecar.Done():
			p.sidecar = nil
		default:
			if n.random.IntN(40) == 0 {
				p.sidecar.Leave()
				p.sidecar = nil
			}
		}
	}
	if p.sidecar == nil {
		to := pick(n.random, n.replicas)
		if to.Admits(PodRef{p.namespace, p.name, p.namespace + "/" + p.name}) != nil {
			return
		}
		p.sidecar = to.connects(p.namespace, p.name, p.revision, p.address)
	} else {
		p.sidecar.hears()
	}
	if p.sidecar.cursor == nil {
		n.held++
		return
	}
	n.heard++
	p.knows, p.revision, p.until = p.sidecar.state.Peers, p.sidecar.state.Revision, n.clock.Add(lease)
}

func (n *node) check() {
	for _, p := range n.pods {
		if p.sidecar == nil || p.sidecar.cursor == nil {
			continue // hears of nobody
		}
		address := netip.MustParseAddr(p.address)
		for _, other := range n.pods {
			if _, believes := other.knows[address]; believes && other.namespace != p.namespace && n.clock.Before(other.until) {
				n.Errorf("%s of %s has its peers while %s of %s takes %s for one of its own", p.name, p.namespace, other.name, other.namespace, address)
			}
		}
	}
}
