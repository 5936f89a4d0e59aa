package feed

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

func TestOtherRequests(t *testing.T) {
	b := newBench(t)
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, protocol.ReportPath, http.StatusMethodNotAllowed},
		{http.MethodPost, "/", http.StatusNotFound},
		{http.MethodPost, "/metrics", http.StatusMethodNotAllowed},
		{http.MethodPost, protocol.ReportPath + "/", http.StatusNotFound},
	} {
		answer := httptest.NewRecorder()
		b.handler.ServeHTTP(answer, httptest.NewRequest(test.method, test.path, nil))
		if answer.Code != test.code {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, answer.Code, test.code)
		}
	}
	if got := b.samples(t)[`bulkhead_feed_requests_total{code="404"}`]; got != 2 {
		t.Errorf("%g answers 404 were counted", got)
	}
}

// Clients that send their report slowly take no more than their own places.
func TestStallingClients(t *testing.T) {
	b := newBench(t)
	b.api.tokens["db"] = vouched("bob", "db")
	server := httptest.NewServer(b.handler)
	t.Cleanup(server.Close)
	codes := make(chan int, 2*podBurst)
	for range 2 * podBurst {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: feed\r\nAuthorization: Bearer %s\r\nContent-Length: 100\r\n\r\n{", protocol.ReportPath, webToken)
		go func() {
			answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
			if err == nil {
				_ = answer.Body.Close()
				codes <- answer.StatusCode
			}
		}()
	}
	if code := <-codes; code != http.StatusTooManyRequests {
		t.Errorf("answered with %d", code)
	}
	check(t, b.post("db", "192.0.2.9:1", nothing), http.StatusNoContent, "")
}

func TestPlaces(t *testing.T) {
	p := newPlaces(3, 2)
	for i, step := range []struct {
		client string
		want   bool
	}{{"a", true}, {"a", true}, {"a", false}, {"b", true}, {"b", false}, {"c", false}} {
		if got := p.begin(step.client); got != step.want {
			t.Errorf("%d: %s has a place: %t", i, step.client, got)
		}
	}
	p.end("a")
	if !p.begin("c") {
		t.Error("a place that is free again is not given")
	}
	p.end("a")
	p.end("b")
	p.end("c")
	if len(p.clients) != 0 || len(p.all) != 0 {
		t.Errorf("places remain taken: %v", p.clients)
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	b := newBench(t)
	handler := NewHandler(Options{
		Tokens:  b.api,
		Tenant:  func(string) string { panic("no index") },
		Events:  b.events,
		Metrics: NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()),
	})
	request := httptest.NewRequest(http.MethodPost, protocol.ReportPath, nil)
	request.Header.Set("Authorization", "Bearer "+webToken)
	for range 2 * maxPerClient { // and it gives its place back
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		check(t, answer, http.StatusInternalServerError, "internal error")
	}
}

func TestRatesForgetWhoStaysAway(t *testing.T) {
	r := newRates(1, 1)
	for i := range 2 * maxRates {
		if !r.allow(fmt.Sprint(i)) {
			t.Fatalf("%d is not allowed once", i)
		}
	}
	if r.allow(fmt.Sprint(2*maxRates - 1)) {
		t.Error("the rate does not hold")
	}
	if kept := len(r.limiters.Keys()); kept > maxRates {
		t.Errorf("%d limiters are kept", kept)
	}
}
