package report

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// serverName is in the certificate of httptest's servers.
const serverName = "example.com"

// feedServer answers reports as it is told to.
type feedServer struct {
	*httptest.Server
	answers chan int // the next answers' codes; 204 when there are none left

	mutex   sync.Mutex
	reports []protocol.Report // all that came
	tokens  []string
}

func newFeedServer(t *testing.T, answers ...int) *feedServer {
	t.Helper()
	s := &feedServer{answers: make(chan int, len(answers))}
	for _, code := range answers {
		s.answers <- code
	}
	s.Server = httptest.NewTLSServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *feedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var report protocol.Report
	if err := json.NewDecoder(r.Body).Decode(&report); err != nil || r.URL.Path != protocol.ReportPath || r.ProtoMajor != 1 {
		http.Error(w, fmt.Sprintf("%s %s: %v", r.Proto, r.URL, err), http.StatusTeapot)
		return
	}
	s.reports = append(s.reports, report)
	s.tokens = append(s.tokens, r.Header.Get("Authorization"))
	select {
	case code := <-s.answers:
		w.Header().Set("Location", "https://"+r.Host+"/elsewhere")
		http.Error(w, "as\ntold", code)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (s *feedServer) seen() ([]protocol.Report, []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.reports), slices.Clone(s.tokens)
}

func addrPort(address net.Addr) netip.AddrPort { return netip.MustParseAddrPort(address.String()) }

func (s *feedServer) feed() *config.Feed {
	return &config.Feed{
		Address:    addrPort(s.Listener.Addr()),
		ServerName: serverName,
		CA:         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})),
	}
}

// otherCA is the certificate of a CA that has signed nothing.
const otherCA = `-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUR8Sk4iVBLlPAKpX9aV/8WcMq9hgwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKYW5vdGhlciBDQTAgFw0yNjExMjIwNjE1NTVaGA8yMTI2MTAy
OTA2MTU1NVowFTETMBEGA1UEAwwKYW5vdGhlciBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABITUr4ztLeq66n3+h41QSGzyVBp5wKlmp0n9WvHolztIawC8tPpC
VT4j2lxv5l888eS37q1gxHiDV0/LXyCPZ0ijUzBRMB0GA1UdDgQWBBT53ihMGQ4/
LY3H2ppKl8J6txuDNDAfBgNVHSMEGDAWgBT53ihMGQ4/LY3H2ppKl8J6txuDNDAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDI1hzet7wSNmY5oRLl
I4PpJqNQPxwIg0arhi814I4ALwIgA3FYAYOznoXhjXMW5SsIzI3589CqL0sj2WXo
e55AfDY=
-----END CERTIFICATE-----
`

// log is a logger's text.
type log struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

// start runs a client without the usual patience until the test ends.
func start(t *testing.T, feed *config.Feed) (*Client, *log) {
	t.Helper()
	client, log := newClient(t, feed)
	t.Cleanup(running(t, client))
	return client, log
}

func newClient(t *testing.T, feed *config.Feed) (*Client, *log) {
	t.Helper()
	log := &log{}
	client, err := New(feed, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	client.TokenFile = filepath.Join(t.TempDir(), "token")
	write(t, client.TokenFile, "first\n")
	client.pause, client.dropsPause, client.longestPause = time.Millisecond, 20*time.Millisecond, 5*time.Millisecond
	client.farewell = 50 * time.Millisecond
	return client, log
}

// running runs a client until the function returned is called, which waits for its end.
func running(t *testing.T, client *Client) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { client.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("%s did not happen", what)
}

func failure(text string) protocol.Record {
	return protocol.Record{Failure: &protocol.Failure{Detail: text}}
}

func TestReportIsSent(t *testing.T) {
	server := newFeedServer(t)
	client, _ := start(t, server.feed())
	client.Report(t.Context(), failure("one"))
	eventually(t, "the first report", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
	write(t, client.TokenFile, "second")
	client.Report(t.Context(), failure("two"))
	eventually(t, "the second report", func() bool { reports, _ := server.seen(); return len(reports) == 2 })
	reports, tokens := server.seen()
	for i, want := range []string{"one", "two"} {
		if records := reports[i].Records; len(records) != 1 || records[0].Failure.Detail != want {
			t.Errorf("report %d: %+v", i, records)
		}
	}
	if want := []string{"Bearer first", "Bearer second"}; !slices.Equal(tokens, want) {
		t.Errorf("tokens %q", tokens)
	}
}

// Counts of drops wait for the clock, or go with what does not wait.
func TestDropsWait(t *testing.T) {
	server := newFeedServer(t)
	client, _ := start(t, server.feed())
	client.Report(t.Context(), drops(protocol.Out, "P3", 1))
	eventually(t, "the report", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
	patient, err := New(server.feed(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	patient.Report(t.Context(), drops(protocol.Out, "P3", 1))
	if len(patient.buffer.changed) != 0 {
		t.Error("drops alone are sent at once")
	}
	patient.Report(t.Context(), failure("now"))
	if report := patient.buffer.take(); len(patient.buffer.changed) != 1 || len(report.Records) != 2 {
		t.Errorf("sent %+v", report)
	}
}

// Whatever goes wrong, a report is sent again until it is taken, unless the server
// does not understand it.
func TestRetry(t *testing.T) {
	for _, code := range []int{301, 307, 401, 403, 404, 429, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			server := newFeedServer(t, code, code)
			client, log := start(t, server.feed())
			client.Report(t.Context(), failure("one"))
			eventually(t, "the third attempt", func() bool { reports, _ := server.seen(); return len(reports) == 3 })
			reports, _ := server.seen()
			for _, report := range reports {
				if len(report.Records) != 1 || report.Records[0].Failure.Detail != "one" {
					t.Errorf("sent %+v", report)
				}
			}
			if text := log.String(); strings.Count(text, "report was not taken") != 2 || !strings.Contains(text, "as told") {
				t.Errorf("log: %s", text)
			}
		})
	}
}

func TestReportThatIsNotUnderstoodIsGivenUp(t *testing.T) {
	server := newFeedServer(t, http.StatusBadRequest)
	client, _ := start(t, server.feed())
	client.Report(t.Context(), failure("one"))
	eventually(t, "the first report", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
	client.Report(t.Context(), failure("two"))
	eventually(t, "the second report", func() bool { reports, _ := server.seen(); return len(reports) == 2 })
	if reports, _ := server.seen(); reports[1].Records[0].Failure.Detail != "two" {
		t.Errorf("sent %+v", reports)
	}
}

func TestNoTokenYet(t *testing.T) {
	server := newFeedServer(t)
	client, log := start(t, server.feed())
	if err := os.Remove(client.TokenFile); err != nil {
		t.Fatal(err)
	}
	client.Report(t.Context(), failure("one"))
	eventually(t, "a failed attempt", func() bool { return strings.Contains(log.String(), "read token") })
	write(t, client.TokenFile, "late")
	eventually(t, "the report", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
}

// The token goes to nobody but the server whose certificate is the configured CA's,
// for the configured name.
func TestServerIsAnother(t *testing.T) {
	stranger := newFeedServer(t)
	for name, change := range map[string]func(*config.Feed){
		"another name": func(f *config.Feed) { f.ServerName = "bulkhead-feed.bulkhead-system.svc" },
		"another CA":   func(f *config.Feed) { f.CA = otherCA },
		"nobody there": func(f *config.Feed) { f.Address = netip.AddrPortFrom(f.Address.Addr(), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			feed := stranger.feed()
			change(feed)
			client, log := start(t, feed)
			client.Report(t.Context(), failure("one"))
			eventually(t, "three attempts", func() bool { return strings.Count(log.String(), "report was not taken") > 2 })
			if reports, tokens := stranger.seen(); len(reports)+len(tokens) > 0 {
				t.Errorf("sent %+v with %q", reports, tokens)
			}
		})
	}
}

func TestNoCertificate(t *testing.T) {
	if _, err := New(&config.Feed{CA: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}, slog.Default()); err == nil {
		t.Error("a CA without a certificate is taken")
	}
}

// A server that never answers holds up nobody who reports, and what is lost is the
// oldest, and said.
func TestServerHangs(t *testing.T) {
	hang := make(chan struct{})
	server := newFeedServer(t)
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-hang
		server.ServeHTTP(w, r)
	})
	client, log := start(t, server.feed())
	client.Report(t.Context(), failure("in flight"))
	eventually(t, "the report's departure", func() bool { return client.buffer.empty() })
	const many = 1000
	for i := range many {
		client.Report(t.Context(), failure(fmt.Sprint(i)))
	}
	close(hang)
	var details []string
	eventually(t, "the last record", func() bool {
		details = nil
		reports, _ := server.seen()
		for _, report := range reports {
			for _, record := range report.Records {
				details = append(details, record.Failure.Detail)
			}
		}
		return slices.Contains(details, fmt.Sprint(many-1))
	})
	if len(details) != 1+maxKept || details[1] != fmt.Sprint(many-maxKept) {
		t.Errorf("%d records, from %q", len(details), details[1])
	}
	if want := fmt.Sprintf("lost=%d", many-maxKept); strings.Count(log.String(), "lost=") != 1 || !strings.Contains(log.String(), want) {
		t.Errorf("log lacks %s: %s", want, log)
	}
	var lost uint64
	reports, _ := server.seen()
	for _, report := range reports {
		lost += report.Lost
	}
	if lost != many-maxKept {
		t.Errorf("%d are said to be lost", lost)
	}
}

// What is left at the end is sent, also what had not been taken yet.
func TestEnd(t *testing.T) {
	server := newFeedServer(t, http.StatusServiceUnavailable)
	client, _ := newClient(t, server.feed())
	client.pause, client.dropsPause, client.farewell = time.Hour, time.Hour, 10*time.Second
	end := running(t, client)
	client.Report(t.Context(), failure("one"))
	eventually(t, "the first attempt", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
	client.Report(t.Context(), drops(protocol.Out, "P3", 1))
	end()
	reports, _ := server.seen()
	if len(reports) != 3 || reports[1].Records[0].Failure == nil || reports[2].Records[0].Drops == nil {
		t.Errorf("sent %+v, want the failure again and then the drops", reports)
	}
}

// What was taken is not sent again.
func TestEndWithNothingLeft(t *testing.T) {
	server := newFeedServer(t)
	client, log := newClient(t, server.feed())
	client.pause = time.Hour
	end := running(t, client)
	client.Report(t.Context(), failure("one"))
	eventually(t, "the report", func() bool { reports, _ := server.seen(); return len(reports) == 1 })
	end()
	if reports, _ := server.seen(); len(reports) != 1 || log.String() != "" {
		t.Errorf("sent %+v, logged %s", reports, log)
	}
}

// A feed that does not answer holds up the end no longer than its bound, and it is
// tried once.
func TestEndWithoutFeed(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"hangs":   func(_ http.ResponseWriter, _ *http.Request) { time.Sleep(time.Second) }, // many farewells
		"refuses": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
	} {
		t.Run(name, func(t *testing.T) {
			server := newFeedServer(t)
			server.Config.Handler = answer
			client, log := newClient(t, server.feed())
			client.dropsPause = time.Hour
			end := running(t, client)
			client.Report(t.Context(), drops(protocol.Out, "P3", 1))
			end()
			if strings.Count(log.String(), "the last report was not taken") != 1 {
				t.Errorf("logged %s", log)
			}
		})
	}
}
