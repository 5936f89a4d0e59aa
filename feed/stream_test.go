package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// A pod hears who its peers are, what changes of it, and of nobody else's.
func TestStream(t *testing.T) {
	l := newLine(t, testLease, nil)
	web, db := l.connect("web", "127.0.0.2"), l.connect("db", "127.0.0.3")
	web.hearsUntil(2)
	db.hearsUntil(1)
	if _, ok := db.state.Peers[netip.MustParseAddr("10.0.0.3")]; !ok {
		t.Errorf("bob's peers are %v", db.state.Peers)
	}
	l.runs("alice", "new", "10.0.0.4")
	web.hearsUntil(3)
	l.store.DeletePod("alice", "new", 0)
	web.hearsUntil(2)
	if web.state.Lease != testLease || len(web.state.Cluster.Pods) != 1 {
		t.Errorf("was told %+v", web.state)
	}
	l.await("bulkhead_feed_streams{}", 2)
	l.await(`bulkhead_feed_tenant_streams{tenant="alice"}`, 1)
	if db.reader.Buffered() > 0 {
		t.Error("bob heard of alice's pods")
	}
	_ = web.Close()
	l.await(`bulkhead_feed_tenant_streams{tenant="alice"}`, 0)
	l.awaitEnd("closed")
	l.await(`bulkhead_feed_requests_total{code="101"}`, 2)
}

// Whoever has no good token of a pod of a tenant hears nothing (A2).
func TestWhoHearsNothing(t *testing.T) {
	good := "Authorization: Bearer " + webToken + "\r\n"
	for name, test := range map[string]struct {
		prepare func(*line)
		headers string
		code    int
	}{
		"no token":        {headers: upgrade, code: http.StatusUnauthorized},
		"forged":          {headers: upgrade + "Authorization: Bearer forged\r\n", code: http.StatusUnauthorized},
		"basic":           {headers: upgrade + "Authorization: Basic d2ViOg==\r\n", code: http.StatusUnauthorized},
		"another header":  {headers: upgrade + "X-Remote-User: system:serviceaccount:alice:default\r\n", code: http.StatusUnauthorized},
		"expired":         {prepare: func(l *line) { delete(l.api.tokens, webToken) }, headers: upgrade + good, code: http.StatusUnauthorized},
		"no upgrade":      {headers: good, code: http.StatusUpgradeRequired},
		"another version": {headers: "Connection: Upgrade\r\nUpgrade: bulkhead-peers/2\r\n" + good, code: http.StatusUpgradeRequired},
		"websocket":       {headers: "Connection: Upgrade\r\nUpgrade: websocket\r\n" + good, code: http.StatusUpgradeRequired},
		"another audience": {prepare: func(l *line) {
			status := vouched("alice", "web")
			status.Audiences = []string{"https://kubernetes.default.svc"}
			l.api.tokens[webToken] = status
		}, headers: upgrade + good, code: http.StatusUnauthorized},
		"bound to no pod": {prepare: func(l *line) {
			status := vouched("alice", "web")
			status.User.Extra = nil
			l.api.tokens[webToken] = status
		}, headers: upgrade + good, code: http.StatusUnauthorized},
		"a user's": {prepare: func(l *line) {
			status := vouched("alice", "web")
			status.User.Username = "alice"
			l.api.tokens[webToken] = status
		}, headers: upgrade + good, code: http.StatusUnauthorized},
		"no tenant": {prepare: func(l *line) { l.api.tokens[webToken] = vouched("nobody", "web") },
			headers: upgrade + good, code: http.StatusForbidden},
		"a contested namespace": {prepare: func(l *line) {
			l.store.SetTenants([]peers.Tenant{{Name: "alice", Namespaces: []string{"alice"}}, {Name: "bob", Namespaces: []string{"alice"}}})
		}, headers: upgrade + good, code: http.StatusForbidden},
		"a pod that has ended": {prepare: func(l *line) {
			l.store.SetPod(peers.Pod{Namespace: "alice", Name: "web", UID: "uid-of-web", Scheduled: true, Ended: true}, 0)
		}, headers: upgrade + good, code: http.StatusForbidden},
		"API server gone": {prepare: func(l *line) { l.api.down = true }, headers: upgrade + good, code: http.StatusServiceUnavailable},
		"draining":        {prepare: func(l *line) { l.feed.Drain(0) }, headers: upgrade + good, code: http.StatusServiceUnavailable},
		"full": {prepare: func(l *line) {
			for range maxStreamsPerTenant {
				l.feed.streams.places.begin("alice")
			}
		}, headers: upgrade + good, code: http.StatusServiceUnavailable},
		"too often": {prepare: func(l *line) { exhaust(l.feed) }, headers: upgrade + good, code: http.StatusTooManyRequests},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, testLease, nil)
			l.api.tokens[webToken] = vouched("alice", "web")
			if test.prepare != nil {
				test.prepare(l)
			}
			code, text := l.dial("127.0.0.2").asks(test.headers)
			if code != test.code || strings.Contains(text, "10.0.0") {
				t.Errorf("%d %q, want %d", code, text, test.code)
			}
		})
	}
}

// exhaust uses up what the pod web may ask.
func exhaust(h http.Handler) {
	for range 2 * podBurst {
		request := httptest.NewRequest(http.MethodPost, protocol.ReportPath, strings.NewReader(`{"records":[]}`))
		request.Header.Set("Authorization", "Bearer "+webToken)
		h.ServeHTTP(httptest.NewRecorder(), request)
	}
}

// Nobody is answered before the cluster has been read.
func TestNotRead(t *testing.T) {
	b := newBench(t)
	b.handler = NewHandler(Options{
		Tokens: b.api, Events: b.events, Metrics: NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()),
		Tenant: func(string) string { return "alice" }, Peers: peers.NewStore(peers.Options{}), Lease: testLease,
	})
	request := httptest.NewRequest(http.MethodGet, protocol.PeersPath, nil)
	request.RemoteAddr = address
	for key, value := range map[string]string{"Authorization": "Bearer " + webToken, "Connection": "Upgrade", "Upgrade": protocol.Upgrade} {
		request.Header.Set(key, value)
	}
	answer := httptest.NewRecorder()
	b.handler.ServeHTTP(answer, request)
	check(t, answer, http.StatusServiceUnavailable, "not serve streams now")
}

// Another pod's token is that pod's word: who has it hears of that pod's peers, and counts
// as that pod.
func TestAnothersToken(t *testing.T) {
	l := newLine(t, testLease, nil)
	thief := l.dial("127.0.0.2")
	if code, _ := thief.asks(upgrade + "Authorization: Bearer " + jwt("db", later) + "\r\nX-Pod: alice/web\r\n"); code != http.StatusSwitchingProtocols {
		t.Fatal(code)
	}
	thief.says(protocol.ToServer{Hello: &protocol.Hello{Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.3")}}})
	thief.hearsUntil(1)
	if _, ok := thief.state.Peers[netip.MustParseAddr("10.0.0.3")]; !ok {
		t.Errorf("hears of %v", thief.state.Peers)
	}
}

// What a sidecar must not say ends its stream.
func TestHostileLines(t *testing.T) {
	for name, lines := range map[string]string{
		"no JSON":                  "hello\n",
		"no hello":                 `{"ack":0}` + "\n",
		"empty":                    "{}\n",
		"two in one":               `{"hello":{"addresses":[]},"ack":1}` + "\n",
		"unknown field":            `{"hello":{"addresses":[],"tenant":"bob"}}` + "\n",
		"no address":               `{"hello":{"addresses":["bob"]}}` + "\n",
		"a loopback address":       `{"hello":{"addresses":["127.0.0.1"]}}` + "\n",
		"many addresses":           `{"hello":{"addresses":[` + strings.Repeat(`"10.0.0.1",`, protocol.MaxAddresses) + `"10.0.0.1"]}}` + "\n",
		"a long line":              strings.Repeat(" ", protocol.MaxLineToServer+1) + "\n",
		"a line without end":       strings.Repeat("x", 1<<20),
		"two hellos":               strings.Repeat(`{"hello":{"addresses":[]}}`+"\n", 2),
		"acknowledges the future":  `{"hello":{"addresses":[]}}` + "\n" + `{"ack":99}` + "\n",
		"an ack that is no number": `{"hello":{"addresses":[]}}` + "\n" + `{"ack":-1}` + "\n",
		"a flood":                  `{"hello":{"addresses":[]}}` + "\n" + strings.Repeat(`{"ack":0}`+"\n", 1000),
		"HTTP":                     "GET /metrics HTTP/1.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLine(t, testLease, nil)
			c := l.dial("127.0.0.2")
			if code, _ := c.asks(upgrade + "Authorization: Bearer " + jwt("web", later) + "\r\n"); code != http.StatusSwitchingProtocols {
				t.Fatal(code)
			}
			_, _ = c.Write([]byte(lines)) // the server may close before it has read all
			c.ends()
			l.await("bulkhead_feed_streams{}", 0)
		})
	}
}

// An acknowledgement is not taken back.
func TestAckBackwards(t *testing.T) {
	l := newLine(t, testLease, nil)
	c := l.connect("web", "127.0.0.2")
	c.hearsUntil(2)
	c.acks(c.state.Version - 1)
	c.ends()
	l.awaitEnd("protocol")
}

// Who is silent, deaf or slow is cut off.
func TestImpatience(t *testing.T) {
	const soon = 300 * time.Millisecond
	t.Run("no hello", func(t *testing.T) {
		l := newLine(t, testLease, func(p *patience) { p.hello = soon })
		c := l.dial("127.0.0.2")
		c.asks(upgrade + "Authorization: Bearer " + jwt("web", later) + "\r\n")
		c.ends()
		l.awaitEnd("slow")
	})
	t.Run("no acknowledgement", func(t *testing.T) {
		l := newLine(t, testLease, func(p *patience) { p.ack = soon })
		c := l.connect("web", "127.0.0.2")
		c.ends()
		l.awaitEnd("unacknowledged")
	})
	t.Run("no answer to heartbeats", func(t *testing.T) {
		l := newLine(t, 3*soon, nil)
		c := l.connect("web", "127.0.0.2")
		c.ends()
		l.awaitEnd("slow")
	})
	t.Run("reads nothing", func(t *testing.T) {
		l := newLine(t, testLease, func(p *patience) { p.write, p.ack = soon, time.Hour })
		l.connect("web", "127.0.0.2")
		l.await("bulkhead_feed_streams{}", 1)
		for i := 0; l.samples(t)["bulkhead_feed_streams{}"] == 1; i++ {
			var many []netip.Addr
			for j := range 1000 {
				many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(1 + j>>8), byte(j)}))
			}
			l.store.SetPod(peers.Pod{Namespace: "alice", Name: "many", UID: fmt.Sprint(i), Addresses: many}, 0)
		}
		l.awaitEnd("slow")
	})
	t.Run("old", func(t *testing.T) {
		l := newLine(t, testLease, func(p *patience) { p.age = soon })
		c := l.connect("web", "127.0.0.2")
		c.ends()
		l.awaitEnd("age")
	})
	t.Run("of an expired token", func(t *testing.T) {
		l := newLine(t, testLease, nil)
		expires := time.Now().Add(2 * time.Second)
		l.api.tokens[jwt("short", expires)] = vouched("alice", "web")
		c := l.dial("127.0.0.2")
		if code, _ := c.asks(upgrade + "Authorization: Bearer " + jwt("short", expires) + "\r\n"); code != http.StatusSwitchingProtocols {
			t.Fatal(code)
		}
		c.says(protocol.ToServer{Hello: &protocol.Hello{}})
		c.ends()
		l.awaitEnd("age")
	})
}

// Heartbeats keep a stream of which nothing changes.
func TestHeartbeats(t *testing.T) {
	l := newLine(t, 9*time.Second, nil)
	c := l.connect("web", "127.0.0.2")
	c.hearsUntil(2)
	if message := c.hears(); message.Heartbeat == nil || *message.Heartbeat != c.state.Version {
		t.Fatalf("%+v is no heartbeat", message)
	}
}

// Of what was sent, the oldest that is not acknowledged counts.
func TestAwaited(t *testing.T) {
	start := time.Now()
	a := awaited{within: 5 * time.Second}
	for i, step := range []struct {
		after              time.Duration
		tells, told, acked uint64 // tells: a version that is sent now
		want               bool
	}{
		{0, 2, 2, 1, true},
		{4 * time.Second, 3, 3, 1, true},
		{4900 * time.Millisecond, 0, 3, 2, true}, // 2 in time; 3 is waited for from now on
		{9 * time.Second, 0, 3, 2, true},
		{9900 * time.Millisecond, 0, 3, 2, false},
		{9900 * time.Millisecond, 0, 3, 3, true},
		{time.Hour, 0, 3, 3, true}, // nothing is waited for
		{time.Hour, 4, 4, 3, true},
		{time.Hour + 5*time.Second, 0, 4, 3, false},
	} {
		now := start.Add(step.after)
		if step.tells > 0 {
			a.told(step.tells, step.acked, now)
		}
		if got := a.applied(step.told, step.acked, now); got != step.want {
			t.Errorf("%d: applied %t", i, got)
		}
	}
}

// A pod that is held is told so, and hears of its peers as soon as the others have let go.
func TestHeldStream(t *testing.T) {
	l := newLine(t, testLease, nil)
	web := l.connect("web", "127.0.0.2")
	web.hearsUntil(2)
	l.store.DeletePod("alice", "job", 0)
	l.runs("bob", "new", "10.0.0.2")
	l.api.tokens[jwt("new", later)] = vouched("bob", "new")
	fresh := l.connect("new", "127.0.0.3")
	if message := fresh.hears(); message.Held == nil || !strings.Contains(message.Held.Reason, "10.0.0.2") {
		t.Fatalf("heard %+v, is not held", message)
	}
	web.hearsUntil(1)
	for !fresh.state.Complete {
		l.store.Tick()
		l.runs("bob", "db", "10.0.0.3")
		if fresh.reader.Buffered() > 0 {
			fresh.hears()
			continue
		}
		_ = fresh.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := fresh.reader.Peek(1)
		if timeout := (interface{ Timeout() bool })(nil); err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			t.Fatal(err)
		}
		_ = fresh.SetReadDeadline(time.Now().Add(5 * time.Minute))
	}
	if len(fresh.state.Peers) != 2 {
		t.Errorf("peers are %v", fresh.state.Peers)
	}
}

// A pod's third stream ends its first; a pod that goes takes its streams with it.
func TestStreamsOfAPod(t *testing.T) {
	l := newLine(t, testLease, nil)
	first := l.connect("web", "127.0.0.2")
	first.hearsUntil(2)
	second := l.connect("web", "127.0.0.2")
	second.hearsUntil(2)
	third := l.connect("web", "127.0.0.2")
	third.hearsUntil(2)
	first.ends()
	l.await("bulkhead_feed_streams{}", 2)
	l.store.DeletePod("alice", "web", 0)
	second.ends()
	third.ends()
	l.await(`bulkhead_feed_stream_ends_total{reason="gone"}`, 3)
	// Its token is still remembered as good, but nobody knows the pod.
	if _, code := l.tries("web", "127.0.0.2"); code != http.StatusServiceUnavailable {
		t.Errorf("a pod that is gone is answered with %d", code)
	}
}

// When a replica goes, all its streams end, and none begins.
func TestDrain(t *testing.T) {
	l := newLine(t, testLease, nil)
	callers := []*caller{l.connect("web", "127.0.0.2"), l.connect("job", "127.0.0.3"), l.connect("db", "127.0.0.4")}
	for i, c := range callers {
		c.hearsUntil([]int{2, 2, 1}[i])
	}
	l.feed.Drain(time.Second)
	l.feed.Drain(time.Hour) // says nothing new
	for _, c := range callers {
		c.ends()
	}
	l.await(`bulkhead_feed_stream_ends_total{reason="drained"}`, 3)
}

// The ends of streams that began together are far apart.
func TestEndsAreSpread(t *testing.T) {
	usual := usualPatience()
	slots := map[time.Duration]int{}
	for range 10_000 {
		age := time.Until(usual.ends(time.Time{})).Round(time.Minute)
		if age < 44*time.Minute || age > time.Hour {
			t.Fatalf("a stream lives for %s", age)
		}
		slots[age]++
	}
	for age, count := range slots {
		if count > 1500 {
			t.Errorf("%d of 10000 end in the minute of %s", count, age)
		}
	}
	if end := usual.ends(later.Add(-23 * time.Hour).Add(-50 * time.Minute)); !end.Before(time.Now().Add(11 * time.Minute)) {
		t.Error("a stream lives longer than its token")
	}
}

// A thousand sidecars whose replica has gone come at once: each gets what it asks, and the
// API server is asked about each token once, by few at a time.
func TestAThousandReconnect(t *testing.T) {
	l := newLine(t, time.Hour, nil) // nobody answers heartbeats, and the machine may be slow
	const count = 1000
	reviews := &crowd{TokenReviewer: l.api}
	l.feed = NewHandler(Options{
		Tokens: reviews, Events: l.events, Metrics: NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()),
		Tenant: func(namespace string) string { return namespace }, Peers: l.store, Lease: time.Hour,
	})
	l.feed.streams.patience = patience{hello: time.Hour, write: time.Hour, ack: time.Hour, age: time.Hour}
	l.server.Config.Handler = l.feed
	for i := range count {
		name := fmt.Sprintf("pod-%d", i)
		l.api.tokens[jwt(name, later)] = vouched("alice", name)
		l.runs("alice", name)
	}
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			c := l.insists(fmt.Sprintf("pod-%d", i), fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250))
			c.hearsUntil(2)
		})
	}
	all.Wait()
	if asked := l.api.asked; asked != count {
		t.Errorf("the API server was asked %d times", asked)
	}
	if most := reviews.most; most > maxReviews {
		t.Errorf("it was asked %d times at once", most)
	}
	if connected := l.store.Connected()["alice"]; connected != count {
		t.Errorf("%d are connected", connected)
	}
}

// How many are connected is told to whoever may get it.
func TestConnected(t *testing.T) {
	l := newLine(t, testLease, nil)
	l.connect("web", "127.0.0.2").hearsUntil(2)
	l.connect("db", "127.0.0.3").hearsUntil(1)
	get := func(token string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodGet, protocol.ConnectedPath, nil)
		request.RemoteAddr = address
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		l.feed.ServeHTTP(answer, request)
		return answer
	}
	l.api.users = map[string]authenticationv1.TokenReviewStatus{
		"leader": {Authenticated: true, User: authenticationv1.UserInfo{Username: "leader"}},
		"tenant": {Authenticated: true, User: authenticationv1.UserInfo{Username: "alice"}},
	}
	l.access.user, l.access.path = "leader", protocol.ConnectedPath
	check(t, get("tenant"), http.StatusForbidden, protocol.ConnectedPath)
	check(t, get(jwt("web", later)), http.StatusUnauthorized, "")
	answer := get("leader")
	var told protocol.Connected
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || told.Tenants["alice"] != 1 || told.Tenants["bob"] != 1 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
