package tenants

import (
	"errors"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

func TestUnownedNamespacesCostOneRead(t *testing.T) {
	client := newFakeClient(t, newTestTenant("alice", "172.16.1.0/24"))
	cluster := start(t, client)
	eventually(t, "watching", func() bool {
		cluster.fresh.mutex.Lock()
		defer cluster.fresh.mutex.Unlock()
		return cluster.fresh.open == 1
	})
	ask := func() *Tenant {
		t.Helper()
		owner, err := cluster.Owner(t.Context(), "bob")
		if err != nil {
			t.Fatal(err)
		}
		return owner
	}
	before := client.lists()
	for range 10 {
		if owner := ask(); owner != nil {
			t.Fatalf("owner %+v", owner)
		}
	}
	if got := client.lists() - before; got != 1 {
		t.Errorf("%d live reads, want 1", got)
	}
	// A change ends what is known, whoever owns what after it.
	if _, err := client.Create(t.Context(), newTestTenant("bob", "172.16.2.0/24"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "owned", func() bool { return ask() != nil })
	if err := client.Delete(t.Context(), "bob", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "unowned", func() bool { return ask() == nil })
}

// TestFreshness plays what must end a negative answer.
func TestFreshness(t *testing.T) {
	clock := time.Now()
	newFresh := func() *freshness {
		f := &freshness{now: func() time.Time { return clock }}
		f.change(+1)
		return f
	}
	read := func(f *freshness) {
		epoch, at := f.begin()
		f.keep(&Index{}, epoch, at)
	}
	f := newFresh()
	if read(f); f.known() == nil {
		t.Error("a read under an open watch is not kept")
	}
	clock = clock.Add(negativeLife)
	if f.known() != nil {
		t.Error("it never ends")
	}
	for name, change := range map[string]int{"a change": 0, "the end of the watch": -1, "a new watch": +1} {
		f := newFresh()
		read(f)
		if f.change(change); f.known() != nil {
			t.Errorf("%s leaves it", name)
		}
		f = newFresh()
		epoch, at := f.begin()
		f.change(change)
		if f.keep(&Index{}, epoch, at); f.known() != nil {
			t.Errorf("%s during the read leaves it", name)
		}
	}
	unwatched := &freshness{now: time.Now}
	if read(unwatched); unwatched.known() != nil {
		t.Error("kept without a watch")
	}
}

// TestFreshnessObservesTheWatch: events pass on, and its end shows.
func TestFreshnessObservesTheWatch(t *testing.T) {
	client := newFakeClient(t)
	source := watch.NewFake()
	client.fake.PrependWatchReactor("tenants", func(clienttesting.Action) (bool, watch.Interface, error) { return true, source, nil })
	f := &freshness{now: time.Now}
	w, err := f.watch(t.Context(), client, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	keep := func() {
		epoch, at := f.begin()
		f.keep(&Index{}, epoch, at)
	}
	keep()
	go source.Action(watch.Bookmark, newTestTenant("a", "172.16.1.0/24"))
	if event := <-w.ResultChan(); event.Type != watch.Bookmark || f.known() == nil {
		t.Errorf("event %v, known %v", event.Type, f.known())
	}
	go source.Add(newTestTenant("a", "172.16.1.0/24"))
	if event := <-w.ResultChan(); event.Type != watch.Added || f.known() != nil {
		t.Errorf("event %v, known %v", event.Type, f.known())
	}
	keep()
	w.Stop()
	eventually(t, "ended", func() bool { return f.known() == nil })
	for range w.ResultChan() {
		t.Error("an event after the end")
	}
	client.fake.PrependWatchReactor("tenants", func(clienttesting.Action) (bool, watch.Interface, error) {
		return true, nil, errors.New("gone")
	})
	if _, err := f.watch(t.Context(), client, metav1.ListOptions{}); err == nil {
		t.Error("no error")
	}
	if keep(); f.known() != nil {
		t.Error("kept without a watch")
	}
}
