package peers

import (
	"net/netip"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// newPair has a pod of alice's, one of bob's, and their sidecars.
func newPair(t *testing.T) (w *world, web, db *sidecar) {
	w = newWorld(t)
	w.SetTenants(town())
	w.runs("alice", "web", "10.0.0.1")
	w.runs("bob", "db", "10.0.0.3")
	w.pass(time.Minute)
	w.Begin()
	w.pass(lease + slack)
	return w, w.connects("alice", "web", 0), w.connects("bob", "db", 0)
}

var address = netip.MustParseAddr("10.0.0.9")

// The pod that claims an address last has it: whoever had it loses it, and does not get
// it back by being told of once more.
func TestTheLastOneHasTheAddress(t *testing.T) {
	w, web, db := newPair(t)
	old := w.runs("alice", "old", "10.0.0.9")
	web.expects("10.0.0.1", "10.0.0.9")
	w.runs("bob", "new", "10.0.0.9")
	web.expects("10.0.0.1")
	if got := w.Holder(address); got != "bob" {
		t.Errorf("%q holds the address", got)
	}
	old.Labels = NewLabels(map[string]string{"changed": "yes"})
	w.SetPod(old, 0)
	w.DeletePod("bob", "new", 0)
	w.SetPod(old, 0)
	old.Labels = nil
	w.SetPod(old, 0)
	web.expects("10.0.0.1")
	db.expects("10.0.0.3")
	if got := w.Holder(address); got != "" {
		t.Errorf("%q holds the address", got)
	}
	old.Addresses = nil
	w.SetPod(old, 0)
	old.Addresses = []netip.Addr{address} // by a sandbox of its own
	w.SetPod(old, 0)
	w.pass(lease + slack)
	web.expects("10.0.0.1", "10.0.0.9")
}

// Containers that have all ended and are started again keep their pod's address, unless
// another pod has it by then.
func TestRestartedContainers(t *testing.T) {
	w, web, _ := newPair(t)
	p := w.runs("alice", "old", "10.0.0.9")
	ends := func(ended bool) {
		p.Ended = ended
		w.SetPod(p, 0)
	}
	ends(true)
	web.expects("10.0.0.1")
	ends(false)
	web.expects("10.0.0.1", "10.0.0.9")
	ends(true)
	w.runs("bob", "new", "10.0.0.9")
	ends(false)
	web.expects("10.0.0.1")
}

// A pod that is listed for the first time has no better claim for being listed later.
func TestTheYoungestOfAListHasTheAddress(t *testing.T) {
	w := newWorld(t)
	w.SetTenants(town())
	at := func(namespace, name string, created time.Duration) Pod {
		return Pod{Namespace: namespace, Name: name, UID: name, Created: w.clock.Add(created), Addresses: []netip.Addr{address}}
	}
	w.ReplacePods([]Pod{at("bob", "young", 2), at("alice", "old", 1), at("alice", "older", 0)}, 0)
	if got := w.Holder(address); got != "bob" {
		t.Errorf("%q holds the address", got)
	}
}

// An address that changes hands is told to the new tenant, and its pod told of its peers,
// as soon as all pods of the old one have acknowledged that it is gone.
func TestHeldUntilAcknowledged(t *testing.T) {
	w, web, db := newPair(t)
	w.runs("alice", "old", "10.0.0.9")
	web.hears()
	w.DeletePod("alice", "old", 0)
	w.runs("bob", "new", "10.0.0.9")
	fresh := w.connects("bob", "new", 0, "10.0.0.9")
	for range 3 {
		w.pass(time.Second)
		fresh.hears()
		db.expects("10.0.0.3")
		if fresh.held == "" {
			t.Fatal("a pod hears of its peers while the last holder's still take it for theirs")
		}
	}
	web.expects("10.0.0.1")
	w.Tick()
	db.expects("10.0.0.3", "10.0.0.9")
	fresh.expects("10.0.0.3", "10.0.0.9")
}

// Pods that are not connected here are waited for until their lease is over. Those
// without a sidecar, or that do not run, are not.
func TestHeldForALease(t *testing.T) {
	for name, test := range map[string]struct {
		elsewhere Pod
		wait      bool
	}{
		"connected elsewhere": {Pod{Scheduled: true, Listens: true}, true},
		"no sidecar":          {Pod{Scheduled: true}, false},
		"not scheduled":       {Pod{Listens: true}, false},
		"ended":               {Pod{Scheduled: true, Listens: true, Ended: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w, web, db := newPair(t)
			test.elsewhere.Namespace, test.elsewhere.Name, test.elsewhere.UID = "alice-batch", "x", "x"
			w.SetPod(test.elsewhere, 0)
			w.runs("alice", "old", "10.0.0.9")
			w.DeletePod("alice", "old", 0)
			w.runs("bob", "new", "10.0.0.9")
			web.hears()
			w.Tick()
			if test.wait {
				db.expects("10.0.0.3")
				w.pass(lease + slack - time.Millisecond)
				db.expects("10.0.0.3")
				w.pass(time.Millisecond)
			}
			db.expects("10.0.0.3", "10.0.0.9")
		})
	}
}

// A pod that says it has another's address waits, even if the API server shows neither.
func TestHeldByHello(t *testing.T) {
	w, web, _ := newPair(t)
	w.runs("bob", "new")
	fresh := w.connects("bob", "new", 0, "10.0.0.1")
	if fresh.held == "" {
		t.Fatal("not held, though the address is alice's")
	}
	w.DeletePod("alice", "web", 0)
	<-web.Done()
	w.Tick()
	if fresh.hears(); fresh.held != "" {
		t.Errorf("held, though alice has no pod left: %s", fresh.held)
	}
	// A liar waits for a while, and hears no more than others.
	w.runs("alice", "web", "10.0.0.1")
	liar := w.connects("bob", "db", 0, "10.0.0.1")
	liar.expects()
	w.pass(lease + slack)
	liar.expects("10.0.0.3")
}

// The same address again, in the same tenant, is told at once.
func TestSameTenantAgain(t *testing.T) {
	w, web, _ := newPair(t)
	w.runs("alice", "old", "10.0.0.9")
	w.DeletePod("alice", "old", 0)
	w.runs("alice", "new", "10.0.0.9")
	fresh := w.connects("alice", "new", 0, "10.0.0.9")
	fresh.expects("10.0.0.1", "10.0.0.9")
	web.expects("10.0.0.1", "10.0.0.9")
}

// A Store that has just begun does not know who had an address before. Young pods wait
// until the others' pods have heard from it, or their leases are over.
func TestBeginning(t *testing.T) {
	begin := func(t *testing.T) (*world, *sidecar) {
		w := newWorld(t)
		w.SetTenants(town())
		w.runs("alice", "web", "10.0.0.1")
		w.pass(time.Minute)
		w.runs("bob", "young", "10.0.0.9")
		if _, err := w.Join(PodRef{"bob", "young", "bob/young"}, protocol.Hello{}); err != ErrNotReady {
			t.Errorf("joins before the beginning: %v", err)
		}
		w.Begin()
		return w, w.connects("bob", "young", 0)
	}
	t.Run("heard", func(t *testing.T) {
		w, young := begin(t)
		if young.held == "" {
			t.Fatal("not held")
		}
		w.connects("alice", "web", 0).expects("10.0.0.1") // is old, and need not wait
		w.pass(lookEach)
		young.expects("10.0.0.9")
	})
	t.Run("a lease", func(t *testing.T) {
		w, young := begin(t)
		w.pass(lease + slack)
		young.expects("10.0.0.9")
	})
}

// A replica that knows less than the one before lets a pod wait.
func TestRevision(t *testing.T) {
	w, _, _ := newPair(t)
	w.SetPod(Pod{Namespace: "alice", Name: "x", UID: "x"}, 7)
	c := w.connects("bob", "db", 8)
	if c.held == "" {
		t.Fatal("not held")
	}
	w.SetPod(Pod{Namespace: "alice", Name: "y", UID: "y"}, 8)
	c.expects("10.0.0.3")
	if c.state.Revision != 8 {
		t.Errorf("was told revision %d", c.state.Revision)
	}
	liar := w.connects("bob", "db", 1<<60)
	if liar.held == "" {
		t.Error("not held")
	}
	w.pass(lease + slack)
	liar.expects("10.0.0.3")
}

// Who may join, and how often.
func TestMembers(t *testing.T) {
	w, web, _ := newPair(t)
	for name, ref := range map[string]PodRef{"no tenant": {"nobody", "x", "x"}, "no namespace's": {"", "", ""}} {
		if _, err := w.Join(ref, protocol.Hello{}); err != ErrNoTenant {
			t.Errorf("%s: %v", name, err)
		}
	}
	second := w.connects("alice", "web", 0)
	third := w.connects("alice", "web", 0)
	<-web.Done()
	select {
	case <-second.Done():
		t.Error("a pod's second stream is ended by its third")
	default:
	}
	third.Leave()
	// Places are for pods that can run: not for those that wait for a node or are gone,
	// whose tokens a tenant has too, and a namesake is not the same pod.
	waiting := w.runs("alice", "waiting")
	waiting.Scheduled = false
	w.SetPod(waiting, 0)
	for name, ref := range map[string]PodRef{
		"unknown": {"alice", "unknown", "1"}, "namesake": {"alice", "web", "another"}, "waiting": {"alice", "waiting", "alice/waiting"},
	} {
		if _, err := w.Join(ref, protocol.Hello{}); err != ErrNotReady {
			t.Errorf("%s: %v", name, err)
		}
	}
	p := w.runs("alice", "web", "10.0.0.1")
	p.Ended = true
	w.SetPod(p, 0)
	<-second.Done()
	if err := w.Admits(second.pod); err != ErrEnded {
		t.Errorf("a pod that has ended may join: %v", err)
	}
}

// Without the cluster's ranges nobody hears of anybody, and it is said why.
func TestUnknownRanges(t *testing.T) {
	w := &world{T: t}
	w.Store = NewStore(Options{Lease: lease})
	w.SetTenants(town())
	w.runs("alice", "web", "10.0.0.1")
	w.Begin()
	if err := w.SetCluster(protocol.Cluster{Pods: testCluster.Pods}); err == nil || w.RangesKnown() == nil {
		t.Error("half of the ranges are taken")
	}
	c := w.connects("alice", "web", 0)
	if c.held == "" {
		t.Fatal("hears, though nobody knows where the cluster ends")
	}
	if err := w.SetCluster(testCluster); err != nil || w.RangesKnown() != nil {
		t.Fatal(err, w.RangesKnown())
	}
	c.expects("10.0.0.1")
}
