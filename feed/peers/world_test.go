package peers

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unique"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const lease = 15 * time.Second

// world is a Store, and sidecars that listen to it.
type world struct {
	*testing.T
	*Store
	clock    time.Time
	sidecars []*sidecar
}

func newWorld(t *testing.T, shared ...string) *world {
	w := &world{T: t, clock: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)}
	w.Store = NewStore(Options{Shared: shared, Lease: lease, Now: func() time.Time { return w.clock }})
	if err := w.SetCluster(testCluster); err != nil {
		t.Fatal(err)
	}
	return w
}

var testCluster = protocol.Cluster{
	Pods:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("fd00::/64")},
	Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	Nodes:    []netip.Prefix{netip.MustParsePrefix("192.168.0.1/32")},
}

func (w *world) pass(d time.Duration) {
	w.clock = w.clock.Add(d)
	w.Tick()
}

// runs is a pod that runs with these addresses.
func (w *world) runs(namespace, name string, addresses ...string) Pod {
	p := Pod{
		Namespace: namespace, Name: name, UID: namespace + "/" + name, Created: w.clock, Scheduled: true, Listens: true,
		Addresses: addressesOf(addresses...), Labels: NewLabels(map[string]string{"app": name}),
		Ports: []NamedPort{{unique.Make("http"), "tcp", 8080}},
	}
	w.SetPod(p, 0)
	return p
}

func (w *world) serves(namespace, name, address string, external ...string) Service {
	s := Service{
		Namespace: namespace, Name: name, Addresses: addressesOf(address), External: addressesOf(external...),
		Selector: NewLabels(map[string]string{"app": name}),
		Ports:    []TargetPort{{Protocol: "tcp", Port: 80}, {Protocol: "tcp", Name: unique.Make("http")}, {Protocol: "udp", Name: unique.Make("http")}},
	}
	w.SetService(s)
	return s
}

func addressesOf(texts ...string) []netip.Addr {
	all := make([]netip.Addr, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParseAddr(text)
	}
	return all
}

// sidecar listens as one in a pod does.
type sidecar struct {
	world *world
	*Member
	state  protocol.State
	cursor *Line
	held   string
}

// connects is a sidecar of a pod.
func (w *world) connects(namespace, name string, revision uint64, hello ...string) *sidecar {
	w.Helper()
	m, err := w.Join(PodRef{namespace, name, namespace + "/" + name}, protocol.Hello{Addresses: addressesOf(hello...), Revision: revision})
	if err != nil {
		w.Fatalf("%s/%s cannot join: %v", namespace, name, err)
	}
	c := &sidecar{world: w, Member: m}
	w.sidecars = append(w.sidecars, c)
	c.hears()
	return c
}

// hears takes all that there is and acknowledges it.
func (c *sidecar) hears() {
	c.world.Helper()
	if c.cursor == nil {
		lines, cursor, held, err := c.Listen()
		if err != nil {
			c.world.Fatalf("%s cannot listen: %v", c.pod.Name, err)
		}
		if c.held = held; held != "" {
			return
		}
		for _, line := range lines {
			c.applies(line)
		}
		c.cursor = cursor
	}
	for next := c.cursor.Next(); next != nil; next = c.cursor.Next() {
		c.applies(next.Text)
		c.cursor = next
	}
	c.Ack(c.state.Version)
}

// applies wants changes to be changes.
func (c *sidecar) applies(line []byte) {
	c.world.Helper()
	message, err := protocol.ReadToSidecar(bufio.NewReader(bytes.NewReader(line)))
	if err != nil {
		c.world.Fatalf("%s: %v in %s", c.pod.Name, err, line)
	}
	if d := message.Delta; d != nil {
		differs(c.world, c.state.Peers, d.Add, d.Remove)
		differs(c.world, c.state.Denied, d.AddDenied, d.RemoveDenied)
		differs(c.world, c.state.Open, d.AddOpen, d.RemoveOpen)
	}
	if _, err := c.state.Apply(message); err != nil {
		c.world.Fatalf("%s: %v", c.pod.Name, err)
	}
}

func differs[T comparable](t testing.TB, known map[T]struct{}, added, removed []T) {
	t.Helper()
	for _, one := range removed {
		if _, ok := known[one]; !ok {
			t.Errorf("removed but not there: %v", one)
		}
	}
	for _, one := range added {
		if _, ok := known[one]; ok {
			t.Errorf("added but there: %v", one)
		}
	}
}

// peers are the addresses that the sidecar lets pass, sorted.
func (c *sidecar) peers() string { return texts(c.state.Peers) }

func texts(set map[netip.Addr]struct{}) string {
	var all []netip.Addr
	for address := range set {
		all = append(all, address)
	}
	return fmt.Sprint(sorted(all))
}

// fresh is the state of somebody who comes now.
func (w *world) fresh(namespace string) protocol.State {
	w.Helper()
	w.mutex.Lock()
	defer w.mutex.Unlock()
	whole := w.snapshot(w.namespaces[namespace])
	var state protocol.State
	if _, err := state.Apply(&protocol.ToSidecar{Snapshot: &whole}); err != nil {
		w.Fatal(err)
	}
	return state
}

func pick[T any](random *rand.Rand, all []T) T { return all[random.IntN(len(all))] }

var names = []unique.Handle[string]{unique.Make("http"), unique.Make("grpc")}
