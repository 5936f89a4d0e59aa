//go:build linux

package feed

import (
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed"
	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	sidecar "github.com/bulkhead-dev/bulkhead/sidecar/peers"
)

// TestSidecarHearsOfItsPeers: the sidecar's client and the webhook's server understand
// each other, from the snapshot over changes to another tenant's use of an address, which
// waits for the client's word that it has let go.
func TestSidecarHearsOfItsPeers(t *testing.T) {
	const lease = time.Minute
	store := peers.NewStore(peers.Options{Lease: lease})
	if err := store.SetCluster(protocol.Cluster{
		Pods: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	}); err != nil {
		t.Fatal(err)
	}
	store.SetTenants([]peers.Tenant{{Name: "alice", Namespaces: []string{"alice"}, Identity: true}, {Name: "bob", Namespaces: []string{"bob"}, Identity: true}})
	runs := func(namespace, name, uid, address string) {
		store.SetPod(peers.Pod{Namespace: namespace, Name: name, UID: uid, Scheduled: true, Listens: true, Addresses: []netip.Addr{netip.MustParseAddr(address)}}, 0)
	}
	runs("alice", "web", "1", "10.0.0.1")
	runs("alice", "db", "2", "10.0.0.2")
	store.Begin()

	registry := metrics.NewKubeRegistry()
	client, err := sidecar.New(serve(t, feed.Options{
		Tokens: tokens{}, Tenant: func(namespace string) string { return namespace }, Events: make(events, 10),
		Metrics: feed.NewMetrics(registry, registry), Peers: store, Lease: lease,
	}), 0, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client.TokenFile = tokenFile(t)
	go client.Run(t.Context())

	// await takes what the client is told until it is this, and says that it is applied.
	await := func(want ...string) {
		t.Helper()
		late := time.After(5 * time.Minute)
		for {
			told := client.Told()
			client.Applied(told)
			if told.Live != nil && fmt.Sprint(told.Live.Peers) == fmt.Sprint(want) {
				return
			}
			select {
			case <-client.Changed():
			case <-late:
				t.Fatalf("was told %+v, not %v", told.Live, want)
			}
		}
	}
	await("10.0.0.1", "10.0.0.2")
	runs("alice", "new", "3", "10.0.0.3")
	await("10.0.0.1", "10.0.0.2", "10.0.0.3")
	store.DeletePod("alice", "db", 0)
	store.DeletePod("alice", "new", 0)
	runs("bob", "thief", "4", "10.0.0.3")
	thief, err := store.Join(peers.PodRef{Namespace: "bob", Name: "thief", UID: "4"}, protocol.Hello{})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, held, err := thief.Listen(); held == "" || err != nil {
		t.Errorf("%q, %v: a pod with an address that alice's takes for one of its own is not held", held, err)
	}
	await("10.0.0.1")
	for range 30_000 {
		store.Tick()
		if _, _, held, err := thief.Listen(); err != nil {
			t.Fatal(err)
		} else if held == "" {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("alice's has let go, and still the pod is held")
}
