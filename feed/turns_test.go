package feed

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// waiter is somebody who waits for a turn, in a bubble.
type waiter struct {
	name   string
	cancel context.CancelFunc
	err    error
	ended  bool
}

// waits comes, and has come when it returns. Who is called is noted.
func waits(t *testing.T, turns *turns, key, name string, called *[]string) *waiter {
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiter{name: name, cancel: cancel}
	go func() {
		if w.err = turns.begin(ctx, key); w.err == nil {
			*called = append(*called, name)
		}
		w.ended = true
	}()
	synctest.Wait()
	return w
}

// Keys are called by turns, and of one key who came first.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 10)
		var called []string
		var all []*waiter
		for _, name := range []string{"a0", "a1", "a2", "a3", "b1", "c1", "b2"} {
			all = append(all, waits(t, turns, name[:1], name, &called))
		}
		all[3].cancel() // does not want any more
		synctest.Wait()
		for range len(all) - 1 {
			turns.end()
			synctest.Wait()
		}
		if want := []string{"a0", "a1", "b1", "c1", "a2", "b2"}; !slices.Equal(called, want) {
			t.Errorf("called %v, want %v", called, want)
		}
		if !errors.Is(all[3].err, context.Canceled) {
			t.Errorf("who gave up is told %v", all[3].err)
		}
		if turns.free != 1 || turns.room != 10 || len(turns.lines) != 0 || turns.order.Len() != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

// Where all room is taken, who has most of it makes room for who has less.
func TestRoomToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1, 4)
		var called []string
		come := func(name string) *waiter { return waits(t, turns, name[:1], name, &called) }
		come("a0")
		crowd := []*waiter{come("a1"), come("a2"), come("a3"), come("a4")}
		for i, step := range []struct {
			comes string
			in    bool
			goes  *waiter
		}{
			{"a5", false, nil},
			{"b1", true, crowd[3]},
			{"b2", true, crowd[2]},
			{"b3", false, nil},
			{"c1", true, crowd[1]},
			{"c2", false, nil}, // it would have as many as who has most
			{"d1", true, nil},  // b2 goes
			{"e1", false, nil}, // everybody has one
		} {
			w := come(step.comes)
			if in := !w.ended; in != step.in || !in && !errors.Is(w.err, errCrowded) {
				t.Errorf("%d: %s waits: %t, %v", i, step.comes, in, w.err)
			}
			if step.goes != nil && !errors.Is(step.goes.err, errCrowded) {
				t.Errorf("%d: %s has not made room", i, step.goes.name)
			}
		}
		for range 5 {
			turns.end()
			synctest.Wait()
		}
		if want := []string{"a0", "a1", "b1", "c1", "d1"}; !slices.Equal(called, want) {
			t.Errorf("called %v, want %v", called, want)
		}
		if turns.free != 1 || turns.room != 4 || len(turns.lines) != 0 {
			t.Errorf("left: %+v", turns)
		}
	})
}

// A turn that comes while its waiter gives up is the next one's.
func TestTurnsAreNotLost(t *testing.T) {
	turns := newTurns(2, 64)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				go cancel()
				if turns.begin(ctx, fmt.Sprint(i%5)) == nil {
					turns.end()
				}
				cancel()
			}
		})
	}
	all.Wait()
	if turns.free != 2 || turns.room != 64 || len(turns.lines) != 0 || turns.order.Len() != 0 {
		t.Errorf("left: %+v", turns)
	}
}

// slowReviews take a while each.
type slowReviews struct {
	TokenReviewer
	each time.Duration
}

func (s slowReviews) Create(ctx context.Context, review *authenticationv1.TokenReview, options metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	time.Sleep(s.each)
	return s.TokenReviewer.Create(ctx, review, options)
}

// All sidecars of a replica that is gone wait for their turn, and nobody is sent away to
// come again; a tenant of few pods does not wait behind one of many.
func TestCrowdsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many, each = maxWaiting, 50 * time.Millisecond
		api := &apiServer{tokens: map[string]authenticationv1.TokenReviewStatus{}}
		reviews := &crowd{TokenReviewer: slowReviews{api, each}}
		a := newAuthenticator(reviews, NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()), func(address string) string { return address[:4] })
		began := time.Now()
		var all sync.WaitGroup
		var mutex sync.Mutex
		waited := map[string]time.Duration{} // at most
		pods := map[string]int{"alice": many, "bob": 8}
		for namespace, count := range pods {
			for i := range count {
				pod := fmt.Sprint(namespace, "-", i)
				api.tokens[jwt(pod, later)] = vouched(namespace, pod)
			}
		}
		comes := func(namespace string, i int, address string) {
			pod := fmt.Sprint(namespace, "-", i)
			all.Go(func() {
				request := httptest.NewRequest(http.MethodGet, protocol.PeersPath, nil)
				request.RemoteAddr = address + ":1"
				request.Header.Set("Authorization", "Bearer "+jwt(pod, later))
				if _, refused := a.authenticate(request); refused != nil {
					t.Errorf("%s: %+v", pod, refused)
				}
				mutex.Lock()
				defer mutex.Unlock()
				waited[namespace] = max(waited[namespace], time.Since(began))
			})
		}
		for i := range pods["alice"] {
			comes("alice", i, fmt.Sprintf("10.1.%d.%d", i/250, 1+i%250))
		}
		synctest.Wait()
		for i := range pods["bob"] {
			comes("bob", i, fmt.Sprintf("10.2.0.%d", 1+i))
		}
		all.Wait()
		if bob := waited["bob"]; bob > 3*each {
			t.Errorf("bob waits for %s", bob)
		}
		if alice, least := waited["alice"], each*time.Duration((many+8)/maxReviews); alice < least || alice > 2*least {
			t.Errorf("alice waits for %s", alice)
		}
		if reviews.most != maxReviews || api.asked != many+8 {
			t.Errorf("the API server was asked %d times, by %d at once", api.asked, reviews.most)
		}
	})
}

// An API server that does not answer keeps nobody for long.
func TestWaitsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{tokens: map[string]authenticationv1.TokenReviewStatus{}}
		a := newAuthenticator(slowReviews{api, time.Hour}, NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()), func(address string) string { return address })
		for range maxReviews {
			if err := a.turns.begin(t.Context(), "others"); err != nil {
				t.Fatal(err)
			}
		}
		request := httptest.NewRequest(http.MethodGet, protocol.PeersPath, nil)
		request.Header.Set("Authorization", "Bearer "+webToken)
		began := time.Now()
		_, refused := a.authenticate(request)
		if refused == nil || refused.code != http.StatusTooManyRequests || time.Since(began) != turnTimeout {
			t.Errorf("%+v after %s", refused, time.Since(began))
		}
	})
}
