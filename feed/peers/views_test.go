package peers

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unique"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// newTown has tenants alice and bob, cluster DNS and a shared ingress that nobody owns.
func newTown(t *testing.T) *world {
	w := newWorld(t, "kube-system/kube-dns")
	w.SetTenants(town())
	w.runs("alice", "web", "10.0.0.1", "fd00::1")
	w.runs("alice-batch", "job", "10.0.0.2")
	w.serves("alice", "web", "10.96.0.1")
	w.runs("bob", "db", "10.0.0.3")
	w.serves("bob", "db", "10.96.0.3")
	w.runs("kube-system", "kube-dns", "10.0.0.10")
	w.runs("kube-system", "other", "10.0.0.11")
	w.serves("kube-system", "kube-dns", "10.96.0.10")
	w.serves("kube-system", "other", "10.96.0.11")
	w.runs("ingress", "nginx", "10.0.0.20")
	w.serves("ingress", "nginx", "10.96.0.20")
	w.pass(time.Minute)
	w.Begin()
	return w
}

func town() []Tenant {
	return []Tenant{
		{Name: "alice", Namespaces: []string{"alice", "alice-batch"}, Shared: []string{"ingress"}, Identity: true},
		{Name: "bob", Namespaces: []string{"bob"}, Identity: true},
	}
}

func (c *sidecar) expects(peers ...string) {
	c.world.Helper()
	c.hears()
	if want := fmt.Sprint(sorted(addressesOf(peers...))); c.peers() != want {
		c.world.Errorf("%s of %s has peers %s, want %s", c.pod.Name, c.pod.Namespace, c.peers(), want)
	}
}

const dns, dnsPod = "10.96.0.10", "10.0.0.10"

// Own pods and Services of both families, what the tenant shares and what all share, and
// nothing of others.
func TestPeers(t *testing.T) {
	w := newTown(t)
	alice := []string{"10.0.0.1", "fd00::1", "10.0.0.2", "10.96.0.1", "10.0.0.20", "10.96.0.20", dns, dnsPod}
	w.connects("alice", "web", 0).expects(alice...)
	w.connects("alice-batch", "job", 0).expects(alice...)
	w.connects("bob", "db", 0).expects("10.0.0.3", "10.96.0.3", dns, dnsPod)
	if got := w.Connected(); got["alice"] != 2 || got["bob"] != 1 {
		t.Errorf("connected: %v", got)
	}
}

func TestPeersChange(t *testing.T) {
	bobs := []string{"10.0.0.3", "10.96.0.3", dns, dnsPod}
	for name, test := range map[string]struct {
		change func(*world)
		want   []string // bob's
	}{
		"a pod comes":        {func(w *world) { w.runs("bob", "new", "10.0.0.4", "fd00::4") }, append(bobs, "10.0.0.4", "fd00::4")},
		"another's pod":      {func(w *world) { w.runs("alice", "new", "10.0.0.4") }, bobs},
		"it goes":            {func(w *world) { w.runs("bob", "new", "10.0.0.4"); w.DeletePod("bob", "new", 0) }, bobs},
		"its own":            {func(w *world) { w.DeletePod("kube-system", "kube-dns", 0) }, []string{"10.0.0.3", "10.96.0.3", dns}},
		"a Service comes":    {func(w *world) { w.serves("bob", "new", "10.96.0.4") }, append(bobs, "10.96.0.4")},
		"a Service goes":     {func(w *world) { w.DeleteService("bob", "db") }, []string{"10.0.0.3", dns, dnsPod}},
		"a Service's labels": {func(w *world) { w.serves("kube-system", "kube-dns", "10.96.0.12") }, []string{"10.0.0.3", "10.96.0.3", "10.96.0.12", dnsPod}},
		"DNS selects others": {func(w *world) {
			w.SetService(Service{Namespace: "kube-system", Name: "kube-dns", Addresses: addressesOf(dns), Selector: NewLabels(map[string]string{"app": "other"})})
		}, []string{"10.0.0.3", "10.96.0.3", dns, "10.0.0.11"}},
		"DNS selects none": {func(w *world) {
			w.SetService(Service{Namespace: "kube-system", Name: "kube-dns", Addresses: addressesOf(dns)})
		}, []string{"10.0.0.3", "10.96.0.3", dns}},
		"a pod is labelled": {func(w *world) {
			p := w.runs("kube-system", "other", "10.0.0.11")
			p.Labels = NewLabels(map[string]string{"app": "kube-dns"})
			w.SetPod(p, 0)
		}, append(bobs, "10.0.0.11")},
		"a pod ends": {func(w *world) {
			p := w.runs("bob", "new", "10.0.0.4")
			p.Ended = true
			w.SetPod(p, 0)
		}, bobs},
		"a pod is being deleted": {func(w *world) {
			p := w.runs("bob", "new", "10.0.0.4")
			p.Deadline = w.clock.Add(time.Minute)
			w.SetPod(p, 0)
			w.pass(59 * time.Second)
		}, append(bobs, "10.0.0.4")},
		"its grace is over": {func(w *world) {
			p := w.runs("bob", "new", "10.0.0.4")
			p.Deadline = w.clock.Add(time.Minute)
			w.SetPod(p, 0)
			w.pass(time.Minute)
		}, bobs},
		"deleted at once": {func(w *world) {
			p := w.runs("bob", "new", "10.0.0.4")
			p.Deadline = w.clock
			w.SetPod(p, 0)
		}, bobs},
		"outside the pods' ranges":     {func(w *world) { w.runs("bob", "new", "192.168.0.1", "8.8.8.8", "10.96.0.99") }, bobs},
		"outside the Services' ranges": {func(w *world) { w.serves("bob", "new", "10.0.0.99") }, bobs},
		"another tenant goes":          {func(w *world) { w.SetTenants(town()[1:]) }, bobs},
		"shared": {func(w *world) {
			tenants := town()
			tenants[1].Shared = []string{"ingress/nginx", "nowhere", "kube-system/nothing"}
			w.SetTenants(tenants)
		}, append(bobs, "10.0.0.20", "10.96.0.20")},
		"more ranges": {func(w *world) {
			w.runs("bob", "new", "10.1.0.4")
			ranges := testCluster
			ranges.Pods = append(slices.Clone(ranges.Pods), netip.MustParsePrefix("10.1.0.0/16"))
			if err := w.SetCluster(ranges); err != nil {
				w.Fatal(err)
			}
		}, append(bobs, "10.1.0.4")},
		"replaced": {func(w *world) {
			w.ReplacePods([]Pod{{Namespace: "bob", Name: "db", UID: "bob/db", Scheduled: true, Addresses: addressesOf("10.0.0.3")}, {Namespace: "bob", Name: "x", UID: "x", Addresses: addressesOf("10.0.0.9")}}, 0)
			w.ReplaceServices([]Service{{Namespace: "bob", Name: "y", Addresses: addressesOf("10.96.0.9")}})
		}, []string{"10.0.0.3", "10.0.0.9", "10.96.0.9"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTown(t)
			db := w.connects("bob", "db", 0)
			test.change(w)
			db.expects(test.want...)
			w.connects("bob", "db", 0).expects(test.want...)
		})
	}
}

// A tenant that shares another's namespace is a guest there: with its pods, in that
// namespace alone.
func TestGuests(t *testing.T) {
	w := newTown(t)
	w.pass(lease + slack)
	w.runs("bob-private", "x", "10.0.0.5")
	tenants := town()
	tenants[0].Shared = []string{"bob/db"}
	tenants[1].Namespaces = append(tenants[1].Namespaces, "bob-private")
	w.SetTenants(tenants)
	w.connects("alice", "web", 0).expects("10.0.0.1", "fd00::1", "10.0.0.2", "10.96.0.1", "10.0.0.3", "10.96.0.3", dns, dnsPod)
	db := w.connects("bob", "db", 0)
	db.expects("10.0.0.1", "fd00::1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.96.0.3", dns, dnsPod)
	w.connects("bob-private", "x", 0).expects("10.0.0.3", "10.0.0.5", "10.96.0.3", dns, dnsPod)
	w.DeletePod("alice-batch", "job", 0)
	db.expects("10.0.0.1", "fd00::1", "10.0.0.3", "10.0.0.5", "10.96.0.3", dns, dnsPod)
	tenants[0].Shared = nil
	w.SetTenants(tenants)
	db.expects("10.0.0.3", "10.0.0.5", "10.96.0.3", dns, dnsPod)
}

// Other tenants' load balancers are denied, but for public Services; nobody's are not.
func TestDenied(t *testing.T) {
	w := newTown(t)
	w.serves("alice", "front", "10.96.0.5", "203.0.113.5", "203.0.113.6")
	w.serves("ingress", "nginx", "10.96.0.20", "203.0.113.20")
	w.serves("bob", "front", "10.96.0.6", "203.0.113.6", "10.0.0.77")
	alice, bob := w.connects("alice", "web", 0), w.connects("bob", "db", 0)
	expect := func(c *sidecar, want ...string) {
		t.Helper()
		c.hears()
		if got := texts(c.state.Denied); got != fmt.Sprint(sorted(addressesOf(want...))) {
			t.Errorf("%s is denied %s, want %s", c.pod.Namespace, got, want)
		}
		for _, address := range want {
			if !w.Denied(c.Tenant(), netip.MustParseAddr(address)) {
				t.Errorf("%s is not denied to %s", address, c.Tenant())
			}
		}
	}
	expect(alice, "203.0.113.6")
	expect(bob, "203.0.113.5", "203.0.113.6")
	tenants := town()
	tenants[0].Public = []string{"alice/front", "bob/front"} // of which one is not its to open
	w.SetTenants(tenants)
	expect(alice, "203.0.113.6")
	expect(bob)
	w.DeleteService("bob", "front")
	expect(alice)
}

// The ports of public Services are open on their backends, named ones too, and stop to be
// with them.
func TestOpen(t *testing.T) {
	w := newTown(t)
	tenants := town()
	tenants[0].Public = []string{"alice/web", "bob/db", "alice-batch/web"}
	w.SetTenants(tenants)
	web, job, db := w.connects("alice", "web", 0), w.connects("alice-batch", "job", 0), w.connects("bob", "db", 0)
	open := func(address, protocolName string, port uint16) protocol.Open {
		return protocol.Open{Address: netip.MustParseAddr(address), Protocol: protocolName, Port: port}
	}
	expect := func(c *sidecar, want ...protocol.Open) {
		t.Helper()
		c.hears()
		if len(c.state.Open) != len(want) {
			t.Errorf("open in %s: %v", c.pod.Namespace, c.state.Open)
		}
		for _, one := range want {
			if _, ok := c.state.Open[one]; !ok {
				t.Errorf("open in %s: %v, not %v", c.pod.Namespace, c.state.Open, one)
			}
		}
	}
	webs := []protocol.Open{open("10.0.0.1", "tcp", 80), open("10.0.0.1", "tcp", 8080), open("fd00::1", "tcp", 80), open("fd00::1", "tcp", 8080)}
	expect(web, webs...)
	expect(job, webs...)
	expect(db)
	p := w.runs("alice", "second", "10.0.0.7")
	p.Labels, p.Ports = NewLabels(map[string]string{"app": "web", "x": "y"}), []NamedPort{{unique.Make("http"), "udp", 9090}}
	w.SetPod(p, 0)
	expect(web, append(webs, open("10.0.0.7", "tcp", 80), open("10.0.0.7", "udp", 9090))...)
	w.SetTenants(town())
	expect(web)
}

// A namespace that changes hands is cut off, and is nobody's while two claim it.
func TestNamespaceChangesHands(t *testing.T) {
	w := newTown(t)
	job, db := w.connects("alice-batch", "job", 0), w.connects("bob", "db", 0)
	tenants := town()
	tenants[1].Namespaces = append(tenants[1].Namespaces, "alice-batch")
	w.SetTenants(tenants)
	if <-job.Done(); job.Reason() == "" {
		t.Error("cut without a reason")
	}
	if _, err := w.Join(job.pod, protocol.Hello{}); err != ErrNoTenant {
		t.Errorf("a pod of a contested namespace joins: %v", err)
	}
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod)
	tenants[0].Namespaces = tenants[0].Namespaces[:1]
	w.SetTenants(tenants)
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod) // as alice's web has not been heard of
	w.pass(lease + slack)
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod, "10.0.0.2")
	w.connects("alice-batch", "job", 0).expects("10.0.0.3", "10.96.0.3", dns, dnsPod, "10.0.0.2")
}

// Before a namespace's pods are told to its new tenant's, the old one's have let go.
func TestNamespaceLeavesBeforeItEnters(t *testing.T) {
	w := newTown(t)
	web, db := w.connects("alice", "web", 0), w.connects("bob", "db", 0)
	tenants := town()
	tenants[0].Namespaces, tenants[1].Namespaces = []string{"alice"}, []string{"bob", "alice-batch"}
	w.SetTenants(tenants)
	w.Tick()
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod)
	job := w.connects("alice-batch", "job", 0)
	if job.held == "" {
		t.Error("the pod is not held")
	}
	web.hears()
	w.Tick()
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod, "10.0.0.2")
	job.expects("10.0.0.3", "10.96.0.3", dns, dnsPod, "10.0.0.2")
}

// Long ones are told in parts.
func TestManyPeers(t *testing.T) {
	w := newTown(t)
	db := w.connects("bob", "db", 0)
	var many []netip.Addr
	for i := range 2 * protocol.MaxEntries {
		many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(64 + i>>8), byte(i)}))
	}
	w.SetPod(Pod{Namespace: "bob", Name: "many", UID: "many", Addresses: many}, 0)
	db.hears()
	if got := len(db.state.Peers); got != len(many)+4 {
		t.Errorf("%d peers", got)
	}
	again := w.connects("bob", "db", 0)
	if got := len(again.state.Peers); got != len(many)+4 {
		t.Errorf("%d peers in a snapshot", got)
	}
	w.DeletePod("bob", "many", 0)
	db.expects("10.0.0.3", "10.96.0.3", dns, dnsPod)
	again.expects("10.0.0.3", "10.96.0.3", dns, dnsPod)
}

// What is gone leaves nothing behind.
func TestNothingIsLeft(t *testing.T) {
	w := newTown(t)
	c := w.connects("bob", "db", 0)
	w.serves("bob", "front", "10.96.0.6", "203.0.113.6")
	w.SetTenants(nil)
	w.ReplacePods(nil, 0)
	w.ReplaceServices(nil)
	<-c.Done()
	c.Leave()
	w.pass(lease + slack)
	for name, left := range map[string]int{
		"namespaces": len(w.namespaces), "tenants": len(w.tenants), "sharers": len(w.sharers), "holders": len(w.holders), "externals": len(w.externals),
		"ending": len(w.ending), "tombs": len(w.tombs), "wanted": len(w.wanted), "members": len(w.members), "early": len(w.begun.early),
	} {
		if left != 0 {
			t.Errorf("%d %s are left", left, name)
		}
	}
}
