package feed

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// testLease is long: what ends by time has tests of its own, with less patience.
const testLease = time.Minute

// line is a bench whose feed serves streams of alice's pods web and job, and bob's db.
type line struct {
	*bench
	*testing.T
	store  *peers.Store
	server *httptest.Server
	feed   *Handler
}

// newLine serves; impatience changes how long pods are waited for.
func newLine(t *testing.T, lease time.Duration, impatience func(*patience)) *line {
	t.Helper()
	l := &line{bench: newBench(t), T: t, store: peers.NewStore(peers.Options{Lease: lease})}
	l.registry = metrics.NewKubeRegistry()
	l.feed = NewHandler(Options{
		Tokens: l.api, Access: l.access, Events: l.events,
		Tenant: func(namespace string) string {
			return map[string]string{"alice": "alice", "bob": "bob", "carol": "carol"}[namespace]
		},
		Metrics:       NewMetrics(l.registry, l.registry),
		TenantMetrics: metrics.HandlerFor(l.registry, metrics.HandlerOpts{}),
		Peers:         l.store, Lease: lease,
	})
	if impatience != nil {
		impatience(&l.feed.streams.patience)
	}
	for _, pod := range [][2]string{{"alice", "web"}, {"alice", "job"}, {"bob", "db"}} {
		l.api.tokens[jwt(pod[1], later)] = vouched(pod[0], pod[1])
	}
	if err := l.store.SetCluster(protocol.Cluster{
		Pods: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/16")},
	}); err != nil {
		t.Fatal(err)
	}
	l.store.SetTenants([]peers.Tenant{
		{Name: "alice", Namespaces: []string{"alice"}, Identity: true}, {Name: "bob", Namespaces: []string{"bob"}, Identity: true},
	})
	l.runs("alice", "web", "10.0.0.1")
	l.runs("alice", "job", "10.0.0.2")
	l.runs("bob", "db", "10.0.0.3")
	l.store.Begin()
	l.server = httptest.NewUnstartedServer(l.feed)
	// With small buffers it is soon seen who does not read.
	l.server.Config.ConnContext = func(ctx context.Context, connection net.Conn) context.Context {
		if err := connection.(*tls.Conn).NetConn().(*net.TCPConn).SetWriteBuffer(8 << 10); err != nil {
			t.Error(err)
		}
		return ctx
	}
	l.server.StartTLS()
	t.Cleanup(l.server.Close)
	return l
}

var later = time.Now().Add(24 * time.Hour)

func (l *line) runs(namespace, name string, addresses ...string) {
	p := peers.Pod{Namespace: namespace, Name: name, UID: "uid-of-" + name, Scheduled: true, Listens: true}
	for _, address := range addresses {
		p.Addresses = append(p.Addresses, netip.MustParseAddr(address))
	}
	l.store.SetPod(p, 0)
}

// caller is a connection to the feed.
type caller struct {
	*line
	net.Conn
	reader *bufio.Reader
	state  protocol.State
}

// dial connects from a loopback address of one's own, as pods do.
func (l *line) dial(from string) *caller {
	l.Helper()
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}},
		Config:    &tls.Config{RootCAs: l.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"},
	}
	connection, err := dialer.DialContext(l.Context(), "tcp", l.server.Listener.Addr().String())
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = connection.Close() })
	if err := connection.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(8 << 10); err != nil {
		l.Fatal(err)
	}
	if err := connection.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		l.Fatal(err)
	}
	return &caller{line: l, Conn: connection, reader: bufio.NewReader(connection)}
}

// asks for a stream with these headers; the answer's code, and its text but for a 101.
func (c *caller) asks(headers string) (code int, text string) {
	c.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: feed\r\n%s\r\n", protocol.PeersPath, headers); err != nil {
		c.Fatal(err)
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer.StatusCode, ""
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		c.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

const upgrade = "Connection: Upgrade\r\nUpgrade: " + protocol.Upgrade + "\r\n"

// connect opens a stream for a pod, and says hello.
func (l *line) connect(pod, from string) *caller {
	l.Helper()
	c, code := l.tries(pod, from)
	if code != http.StatusSwitchingProtocols {
		l.Fatal(code)
	}
	return c
}

func (l *line) tries(pod, from string) (*caller, int) {
	l.Helper()
	c := l.dial(from)
	code, _ := c.asks(upgrade + "Authorization: Bearer " + jwt(pod, later) + "\r\n")
	if code == http.StatusSwitchingProtocols {
		c.says(protocol.ToServer{Hello: &protocol.Hello{}})
	}
	return c, code
}

// insists tries again, as sidecars do, while the server is busy.
func (l *line) insists(pod, from string) *caller {
	l.Helper()
	for {
		c, code := l.tries(pod, from)
		switch code {
		case http.StatusSwitchingProtocols:
			return c
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			_ = c.Close()
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond)
		default:
			l.Fatal(code)
		}
	}
}

func (c *caller) says(message protocol.ToServer) {
	c.Helper()
	text, err := protocol.Encode(message)
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.Write(text); err != nil {
		c.Fatal(err)
	}
}

func (c *caller) acks(version uint64) { c.Helper(); c.says(protocol.ToServer{Ack: &version}) }

// hears the next line, and takes it.
func (c *caller) hears() *protocol.ToSidecar {
	c.Helper()
	message, err := protocol.ReadToSidecar(c.reader)
	if err != nil {
		c.Fatal(err)
	}
	if _, err := c.state.Apply(message); err != nil {
		c.Fatal(err)
	}
	return message
}

// hearsUntil takes lines, and acknowledges them, until there are so many peers.
func (c *caller) hearsUntil(peers int) {
	c.Helper()
	for !c.state.Complete || len(c.state.Peers) != peers {
		c.hears()
		if c.state.Complete {
			c.acks(c.state.Version)
		}
	}
}

// ends reads to the end of the stream, which must come.
func (c *caller) ends() {
	c.Helper()
	_, err := io.Copy(io.Discard, c.reader)
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		c.Fatal("the stream goes on")
	}
}

// await waits until a metric has a value.
func (l *line) await(sample string, value float64) {
	l.Helper()
	for range 30_000 {
		if l.samples(l.T)[sample] == value {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.Fatalf("%s does not become %g: %v", sample, value, l.samples(l.T))
}

func (l *line) awaitEnd(reason string) {
	l.Helper()
	l.await(fmt.Sprintf("bulkhead_feed_stream_ends_total{reason=%q}", reason), 1)
}
