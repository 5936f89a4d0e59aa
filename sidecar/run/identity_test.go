//go:build linux

package run

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/peers"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// teller is a feed.
type teller struct {
	changed chan struct{}

	mutex   sync.Mutex
	told    peers.Told
	applied []peers.Told
}

func (f *teller) Changed() <-chan struct{} { return f.changed }

func (f *teller) Told() peers.Told {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.told
}

func (f *teller) Applied(told peers.Told) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.applied = append(f.applied, told)
}

// last is what was applied last.
func (f *teller) last() peers.Told {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.applied[len(f.applied)-1]
}

// tell tells of peers among pods.
func (f *teller) tell(pods string, addrs ...string) peers.Told {
	live := &rules.Live{Cluster: protocol.Cluster{Pods: []netip.Prefix{netip.MustParsePrefix(pods)}, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}}}
	for _, addr := range addrs {
		live.Peers = append(live.Peers, netip.MustParseAddr(addr))
	}
	f.mutex.Lock()
	f.told = peers.Told{Live: live}
	defer f.mutex.Unlock()
	f.changed <- struct{}{}
	return f.told
}

func newIdentity() (*bench, *teller) {
	b, f := newBench(), &teller{changed: make(chan struct{}, 1)}
	b.Config = &config.Config{Version: config.Version, Tenant: "alice", Addressing: config.Identity, WhenFeedGone: config.Keep,
		Feed:   &config.Feed{Address: netip.MustParseAddrPort("10.96.0.9:443")},
		Egress: config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow}}
	b.Peers = f
	return b, f
}

// admits says whom the plan that was ensured last admits.
func (e *enforcer) admits() []netip.Prefix {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.plan.Tables[0].Peers.Members
}

func singles(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text+"/32"))
	}
	return all
}

// TestToldIsApplied holds that news are ensured at once, without a guard, and
// acknowledged when they are and not before; that they are no tampering; and that however
// many there are, the clock goes on.
func TestToldIsApplied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		stop := b.watch(t)
		audited := b.enforcer.audited
		if len(b.enforcer.admits()) > 0 {
			t.Error("somebody is admitted before the feed has told")
		}
		told := f.tell("172.16.0.0/16", "172.16.1.8")
		synctest.Wait()
		if !slices.Equal(b.enforcer.admits(), singles("172.16.1.8")) || f.last() != told {
			t.Errorf("admits %v", b.enforcer.admits())
		}
		b.enforcer.will(nil, errors.New("kernel is out of memory"), 0)
		failed := f.tell("172.16.0.0/16", "172.16.1.9")
		synctest.Wait()
		if f.last() == failed {
			t.Error("acknowledged, though it failed")
		}
		b.enforcer.will(nil, nil, 0)
		time.Sleep(b.Retry + time.Millisecond)
		synctest.Wait()
		if f.last() != failed {
			t.Error("not acknowledged after the retry")
		}
		b.enforcer.mu.Lock()
		b.enforcer.differ, b.enforcer.kind = []string{"set bulkhead-peers-4 lacks 172.16.1.8/32"}, protocol.TamperedSet
		b.enforcer.mu.Unlock()
		for range 300 { // for three intervals
			f.tell("172.16.0.0/16", "172.16.1.8")
			time.Sleep(b.Interval / 100)
		}
		synctest.Wait()
		if now := b.enforcer.audited; now < audited+3 {
			t.Errorf("%d audits while much was told", now-audited)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if b.tamperings > 0 {
			t.Errorf("news taken for tampering: %s", &b.log)
		}
	})
}

// TestTamperingAmongNews holds that news do not hide it.
func TestTamperingAmongNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		stop := b.watch(t)
		b.enforcer.will([]string{"IPv4 INPUT begins with nothing"}, nil, 0)
		f.tell("172.16.0.0/16", "172.16.1.8")
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if b.tamperings != 1 {
			t.Errorf("%d tamperings", b.tamperings)
		}
	})
}

// TestWrongRangesCloseButForTheFeed holds that a pod outside of the pod ranges is closed
// and says so, and hears when it is told better.
func TestWrongRangesCloseButForTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		stop := b.watch(t)
		f.tell("172.16.0.0/16", "172.16.1.8")
		synctest.Wait()
		f.tell("10.244.0.0/16", "10.244.1.8")
		synctest.Wait()
		if _, guarded := b.enforcer.calls(); len(b.enforcer.admits()) > 0 || guarded > 0 {
			t.Errorf("admits %v, guarded %d times, which stops the feed too", b.enforcer.admits(), guarded)
		}
		if !strings.Contains(b.log.String(), "cluster.podCIDRs") {
			t.Errorf("logged %s", &b.log)
		}
		f.tell("172.16.0.0/16", "172.16.1.8")
		synctest.Wait()
		if !slices.Equal(b.enforcer.admits(), singles("172.16.1.8")) || !strings.Contains(b.log.String(), "in force again") {
			t.Errorf("admits %v, logged %s", b.enforcer.admits(), &b.log)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestAwait is bulkhead-init: it has the first snapshot applied, or goes without it.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		time.AfterFunc(2*time.Second, func() { f.tell("172.16.0.0/16", "172.16.1.8") })
		start := time.Now()
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Await(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 2*time.Second || f.last() != f.Told() || len(b.enforcer.admits()) != 1 {
			t.Errorf("waited %s, applied %v, admits %v", waited, f.last(), b.enforcer.admits())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, _ := newIdentity()
		start := time.Now()
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Await(t.Context(), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(start); waited != 5*time.Second || len(b.enforcer.admits()) > 0 || !strings.Contains(b.log.String(), "nothing is open") {
			t.Errorf("waited %s, admits %v, logged %s", waited, b.enforcer.admits(), &b.log)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		if err := b.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		f.tell("10.244.0.0/16", "10.244.1.8")
		if err := b.Await(t.Context(), 5*time.Second); err == nil || !strings.Contains(err.Error(), "cluster.podCIDRs") {
			t.Errorf("got %v", err)
		}
	})
}

// TestAdopted holds that a start leaves what sets hold as long as the feed allows it.
func TestAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, f := newIdentity()
		f.told = peers.Told{Adopt: true}
		stop := b.watch(t)
		if !b.enforcer.plan.Adopt {
			t.Error("the first plan does not adopt")
		}
		f.mutex.Lock()
		f.told = peers.Told{}
		f.mutex.Unlock()
		f.changed <- struct{}{}
		synctest.Wait()
		if b.enforcer.plan.Adopt || len(b.enforcer.admits()) > 0 {
			t.Error("adopted for longer")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}
