package peers

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

func sorted(all []netip.Addr) []netip.Addr {
	slices.SortFunc(all, netip.Addr.Compare)
	return all
}

// TestDeltasMakeWhatSnapshotsSay: whatever happens, who has heard of each change knows
// the same as who comes now and asks for all.
func TestDeltasMakeWhatSnapshotsSay(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := &generator{world: newWorld(t, "system/dns", "default/api"), random: rand.New(rand.NewPCG(seed, 5)), shares: true}
			g.start()
			for range 300 {
				g.step()
				g.compare()
				if t.Failed() {
					t.FailNow()
				}
			}
		})
	}
}

// generator makes things happen: few names and addresses, so that they meet.
type generator struct {
	*world
	random *rand.Rand
	shares bool // what belongs to others
	next   int
}

var (
	testNamespaces = []string{"a1", "a2", "b1", "b2", "c1", "system", "default"}
	testNames      = []string{"web", "db", "dns", "api"}
)

func (g *generator) start() {
	g.tenants()
	g.Begin()
}

func (g *generator) address() string { return fmt.Sprintf("10.0.0.%d", 1+g.random.IntN(12)) }

func (g *generator) tenants() {
	owned := map[string][]string{"a": {"a1", "a2"}, "b": {"b1", "b2"}, "c": {"c1"}}
	var all []Tenant
	for _, name := range sortedKeys(owned) {
		namespaces := owned[name]
		if g.random.IntN(6) == 0 {
			continue // is no more
		}
		tenant := Tenant{Name: name, Namespaces: namespaces, Identity: g.random.IntN(8) > 0}
		if g.random.IntN(4) == 0 {
			tenant.Namespaces = append(slices.Clone(namespaces), pick(g.random, testNamespaces)) // at times another's
		}
		for g.shares && g.random.IntN(2) == 0 {
			tenant.Shared = append(tenant.Shared, pick(g.random, []string{"system", "b1", "a2/web", "b2/db", "system/api", "c1", "nowhere"}))
		}
		for g.random.IntN(2) == 0 {
			tenant.Public = append(tenant.Public, pick(g.random, namespaces)+"/"+pick(g.random, testNames))
		}
		all = append(all, tenant)
	}
	g.SetTenants(all)
}

func (g *generator) pod() Pod {
	p := Pod{
		Namespace: pick(g.random, testNamespaces), Name: pick(g.random, testNames), Created: g.clock,
		Scheduled: g.random.IntN(4) > 0, Listens: g.random.IntN(8) > 0, Ended: g.random.IntN(8) == 0,
		Labels: NewLabels(map[string]string{"app": pick(g.random, testNames), "x": pick(g.random, testNames)}),
		Ports:  []NamedPort{{Name: pick(g.random, names), Protocol: "tcp", Port: uint16(1 + g.random.IntN(3))}},
	}
	p.UID = p.Namespace + "/" + p.Name
	if g.random.IntN(10) == 0 {
		p.Deadline = g.clock.Add(time.Duration(g.random.IntN(30)) * time.Second)
	}
	for g.random.IntN(3) > 0 && len(p.Addresses) < 2 {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(g.address()))
	}
	return p
}

func (g *generator) service() Service {
	s := Service{
		Namespace: pick(g.random, testNamespaces), Name: pick(g.random, testNames),
		Selector: NewLabels(map[string]string{"app": pick(g.random, testNames)}),
		Ports:    []TargetPort{{Protocol: "tcp", Port: uint16(1 + g.random.IntN(3))}, {Protocol: "tcp", Name: pick(g.random, names)}},
	}
	// The API server gives an address to one Service alone.
	g.next++
	s.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{10, 96, byte(g.next >> 8), byte(g.next)})}
	for g.random.IntN(2) == 0 {
		s.External = append(s.External, netip.MustParseAddr(fmt.Sprintf("203.0.113.%d", g.random.IntN(4))))
	}
	return s
}

func (g *generator) step() {
	switch g.random.IntN(14) {
	case 0, 1, 2, 3, 4:
		g.SetPod(g.pod(), 0)
	case 5:
		g.DeletePod(pick(g.random, testNamespaces), pick(g.random, testNames), 0)
	case 6, 7:
		g.SetService(g.service())
	case 8:
		g.DeleteService(pick(g.random, testNamespaces), pick(g.random, testNames))
	case 9:
		g.tenants()
	case 10:
		g.pass(time.Duration(g.random.IntN(3000)) * time.Millisecond)
	case 11:
		g.cluster()
	case 12:
		g.join()
	case 13:
		g.replace()
	}
}

func (g *generator) cluster() {
	ranges := testCluster
	if g.random.IntN(2) == 0 {
		ranges.Pods = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/29")}
	}
	if g.random.IntN(4) == 0 {
		ranges.Services = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16"), netip.MustParsePrefix("203.0.113.0/31")}
	}
	if err := g.SetCluster(ranges); err != nil {
		g.Fatal(err)
	}
}

// replace is what a watch does that has been away.
func (g *generator) replace() {
	var pods []Pod
	var services []Service
	for range g.random.IntN(8) {
		pods = append(pods, g.pod())
		services = append(services, g.service())
	}
	unique := func(p Pod) string { return p.UID }
	g.ReplacePods(byKey(pods, unique), 0)
	g.ReplaceServices(byKey(services, func(s Service) string { return s.Namespace + "/" + s.Name }))
}

// byKey keeps the last of each.
func byKey[T any](all []T, key func(T) string) []T {
	m := map[string]T{}
	for _, one := range all {
		m[key(one)] = one
	}
	var last []T
	for _, k := range sortedKeys(m) {
		last = append(last, m[k])
	}
	return last
}

func (g *generator) join() {
	namespace, name := pick(g.random, testNamespaces), pick(g.random, testNames)
	if g.Admits(PodRef{namespace, name, namespace + "/" + name}) == nil {
		g.connects(namespace, name, 0, g.address())
	}
}

// compare lets most listen, and compares those that have heard everything.
func (g *generator) compare() {
	g.Helper()
	var connected []*sidecar
	for _, c := range g.sidecars {
		select {
		case <-c.Done():
			continue
		default:
			connected = append(connected, c)
		}
		if g.random.IntN(3) == 0 {
			continue
		}
		if c.hears(); c.cursor == nil {
			continue
		}
		if want := g.fresh(c.pod.Namespace); !same(&c.state, &want) {
			g.Errorf("%s of %s has heard\n%+v, but whoever comes now hears\n%+v", c.pod.Name, c.pod.Namespace, c.state, want)
		}
	}
	g.sidecars = connected
}

func same(a, b *protocol.State) bool {
	return maps.Equal(a.Peers, b.Peers) && maps.Equal(a.Denied, b.Denied) && maps.Equal(a.Open, b.Open) && a.Version == b.Version &&
		slices.Equal(a.Cluster.Pods, b.Cluster.Pods) && slices.Equal(a.Cluster.Services, b.Cluster.Services) && a.Lease == b.Lease
}
