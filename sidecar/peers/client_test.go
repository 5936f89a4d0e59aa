//go:build linux

package peers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// bench is a client in a bubble, with servers at the other ends of pipes.
type bench struct {
	*Client
	t      *testing.T
	log    bytes.Buffer
	asleep time.Duration // what the clock says more than the bubble's
	lapses []protocol.Lapse

	mutex   sync.Mutex
	accepts chan *server // nil: connections are refused
	dialled []time.Time
}

// server is one stream from the server's side.
type server struct {
	net.Conn
	t     *testing.T
	lines *bufio.Reader
}

func newBench(t *testing.T, adopt bool) *bench {
	b := &bench{t: t, accepts: make(chan *server)}
	started := time.Now()
	var left time.Duration
	if adopt {
		left = lease
	}
	b.Client = newClient(nil, b.dial, func() time.Duration { return time.Since(started) + time.Hour + b.asleep }, left,
		slog.New(slog.NewTextHandler(&b.log, nil)))
	b.Addresses = func() ([]netip.Addr, error) { return addresses("10.244.0.7"), nil }
	b.Lapsed = func(l protocol.Lapse) { b.lapses = append(b.lapses, l) }
	return b
}

func (b *bench) dial(ctx context.Context, line, header string, _ []byte) (net.Conn, func(), error) {
	if line != "GET /v1/peers HTTP/1.1" || header != "Connection: Upgrade\r\nUpgrade: bulkhead-peers/1\r\n" {
		b.t.Errorf("asked %q, %q", line, header)
	}
	b.mutex.Lock()
	b.dialled = append(b.dialled, time.Now())
	b.mutex.Unlock()
	mine, other := net.Pipe()
	select {
	case b.accepts <- &server{other, b.t, bufio.NewReader(other)}:
		return mine, func() {}, nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	case <-time.After(time.Millisecond):
		return nil, nil, errors.New("connection refused")
	}
}

// accept waits for the next stream and greets it.
func (b *bench) accept() *server { b.t.Helper(); return b.greeted(0) }

// greeted accepts one that says the last revision that it was told.
func (b *bench) greeted(revision uint64) *server {
	b.t.Helper()
	s := <-b.accepts
	s.send("HTTP/1.1 101 Switching Protocols\r\n\r\n")
	first, err := protocol.ReadToServer(s.lines)
	if err != nil || first.Hello == nil || !slices.Equal(first.Hello.Addresses, addresses("10.244.0.7")) || first.Hello.Revision != revision {
		b.t.Fatalf("greeted with %+v, %v", first, err)
	}
	return s
}

func (s *server) send(text string) {
	s.t.Helper()
	if _, err := s.Write([]byte(text)); err != nil {
		s.t.Fatalf("send %.60q: %v", text, err)
	}
}

func (s *server) tell(message protocol.ToSidecar) {
	s.t.Helper()
	line, err := protocol.Encode(message)
	if err != nil {
		s.t.Fatal(err)
	}
	s.send(string(line))
	synctest.Wait()
}

func (s *server) heartbeat(version uint64) {
	s.t.Helper()
	s.tell(protocol.ToSidecar{Heartbeat: &version})
}

// acked reads the next acknowledgement.
func (s *server) acked(want uint64) {
	s.t.Helper()
	message, err := protocol.ReadToServer(s.lines)
	if err != nil || message.Ack == nil || *message.Ack != want {
		s.t.Fatalf("acknowledged %+v, %v, want %d", message, err, want)
	}
}

// ended says that the client has given the stream up.
func (s *server) ended() {
	s.t.Helper()
	if message, err := protocol.ReadToServer(s.lines); err == nil {
		s.t.Fatalf("the stream goes on with %+v", message)
	}
}

const lease = 15 * time.Second

func snapshot(version uint64, peers ...string) protocol.ToSidecar {
	return protocol.ToSidecar{Snapshot: &protocol.Snapshot{
		Version: version, LeaseMilliseconds: lease.Milliseconds(), Peers: addresses(peers...),
		Cluster: protocol.Cluster{
			Pods:     []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")},
			Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
		},
	}}
}

func addresses(texts ...string) []netip.Addr {
	var all []netip.Addr
	for _, text := range texts {
		all = append(all, netip.MustParseAddr(text))
	}
	return all
}

// knows holds what the client says.
func (b *bench) knows(lapsed bool, peers ...string) Told {
	b.t.Helper()
	told := b.Told()
	if told.Live == nil || told.Adopt || told.Live.Lapsed != lapsed || !slices.Equal(told.Live.Peers, addresses(peers...)) {
		b.t.Fatalf("told %+v, want lapsed %v, %v\n%s", told.Live, lapsed, peers, &b.log)
	}
	return told
}

// woken says whether there was a change since the last time.
func (b *bench) woken(want bool) {
	b.t.Helper()
	synctest.Wait()
	select {
	case <-b.Changed():
		if !want {
			b.t.Fatal("woken for nothing")
		}
	default:
		if want {
			b.t.Fatal("not woken")
		}
	}
}

// in runs a test in a bubble, with the client running.
func in(t *testing.T, adopt bool, test func(*bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, adopt)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		test(b)
		cancel()
		running.Wait()
	})
}

func TestStream(t *testing.T) {
	in(t, false, func(b *bench) {
		if told := b.Told(); told != (Told{}) {
			t.Fatalf("knows %+v of nobody", told)
		}
		s := b.accept()
		s.tell(protocol.ToSidecar{Held: &protocol.Held{Reason: "another had it"}})
		b.woken(false)
		first := snapshot(7, "10.244.0.9")
		first.Snapshot.More = true
		s.tell(first)
		b.woken(false)
		s.tell(snapshot(7, "10.244.0.8", "10.96.0.10"))
		b.woken(true)
		told := b.knows(false, "10.96.0.10", "10.244.0.8", "10.244.0.9")
		if again := b.Told(); again != told {
			t.Error("the same is told as something else")
		}
		b.Applied(told)
		s.acked(7)
		b.Applied(told) // nothing new to say
		s.heartbeat(7)
		s.acked(7)
		s.tell(protocol.ToSidecar{Delta: &protocol.Delta{Version: 8, Remove: addresses("10.244.0.9"), Add: addresses("10.244.0.1")}})
		b.woken(true)
		told = b.knows(false, "10.96.0.10", "10.244.0.1", "10.244.0.8")
		s.heartbeat(8)
		s.acked(7) // what is applied, not what was told
		b.Applied(told)
		s.acked(8)
	})
}

// TestFollowed holds what is changed in order against what is put in order anew, over
// deltas by chance.
func TestFollowed(t *testing.T) {
	in(t, false, func(b *bench) {
		random := rand.New(rand.NewPCG(1, 2))
		some := func() []netip.Addr {
			var all []netip.Addr
			for range random.IntN(6) + 60*random.IntN(2)*random.IntN(2) {
				all = append(all, netip.AddrFrom4([4]byte{10, 244, 0, byte(random.IntN(40))}))
			}
			return all
		}
		s := b.accept()
		s.tell(snapshot(0))
		for version := range uint64(500) {
			delta := &protocol.Delta{Version: version + 1, Remove: some(), Add: some()}
			if random.IntN(9) == 0 {
				delta.AddDenied = addresses("203.0.113.7")
			}
			s.tell(protocol.ToSidecar{Delta: delta})
			if random.IntN(3) == 0 {
				continue // two at once
			}
			told := b.Told().Live.Peers
			if want := slices.SortedFunc(maps.Keys(b.state.Peers), netip.Addr.Compare); !slices.Equal(told, want) {
				t.Fatalf("version %d: told %v, want %v", version+1, told, want)
			}
		}
	})
}

// TestNothingChangesWithABadStream holds that whatever else a server says, what was told
// counts to the end of its lease, and no longer, and another stream is sought.
func TestNothingChangesWithABadStream(t *testing.T) {
	encode := func(m protocol.ToSidecar) string {
		line, err := protocol.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(line)
	}
	gap := encode(protocol.ToSidecar{Delta: &protocol.Delta{Version: 3, Add: addresses("10.244.0.66")}})
	more := snapshot(2, "10.244.0.66")
	more.Snapshot.More = true
	cases := map[string]string{
		"no JSON":                    "hello\n",
		"half a line":                `{"heartbeat":`,
		"unknown field":              `{"heartbeat":1,"allowEverything":true}` + "\n",
		"nothing":                    "{}\n",
		"two things":                 `{"heartbeat":1,"held":{"reason":"x"}}` + "\n",
		"a gap":                      gap,
		"the same version again":     strings.Replace(gap, `"version":3`, `"version":1`, 1),
		"another version's beat":     `{"heartbeat":2}` + "\n",
		"a whole network as address": `{"delta":{"version":2,"add":["0.0.0.0"]}}` + "\n",
		"no ranges":                  `{"delta":{"version":2,"cluster":{}}}` + "\n",
		"everything a pod":           `{"delta":{"version":2,"cluster":{"pods":["0.0.0.0/0"],"services":["10.96.0.0/12"]}}}` + "\n",
		"endless":                    strings.Repeat(" ", protocol.MaxLine+1),
		"a snapshot without end":     encode(more) + gap,
		"too many":                   `{"delta":{"version":2,"add":["10.244.0.66"` + strings.Repeat(`,"10.244.0.66"`, protocol.MaxEntries) + `]}}` + "\n",
		"no more":                    "",
	}
	for name, said := range cases {
		t.Run(name, func(t *testing.T) {
			in(t, false, func(b *bench) {
				s := b.accept()
				s.tell(snapshot(1, "10.244.0.8"))
				b.woken(true)
				told := b.knows(false, "10.244.0.8")
				go func() {
					_, _ = s.Write([]byte(said)) // it may not want to hear it all
					_ = s.Close()
				}()
				next := <-b.accepts // refuses it
				if got := b.knows(false, "10.244.0.8"); got != told {
					t.Error("what counted changed")
				}
				b.woken(false)
				next.send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nbusy\n")
				next = b.accept()
				next.tell(protocol.ToSidecar{Held: &protocol.Held{Reason: "wait"}})
				b.woken(false)
				time.Sleep(lease)
				b.woken(true)
				lapsed := b.knows(true, "10.244.0.8")
				b.Applied(lapsed)
				next.tell(snapshot(9, "10.244.0.9"))
				b.woken(true)
				b.Applied(b.knows(false, "10.244.0.9"))
				next.acked(9)
				if len(b.lapses) != 1 || b.lapses[0].Duration <= 0 || b.lapses[0].Duration > lease {
					t.Errorf("told of %+v", b.lapses)
				}
			})
		})
	}
}

// TestEachLineOfTheStreamProlongsTheLease, and of no other.
func TestEachLineOfTheStreamProlongsTheLease(t *testing.T) {
	in(t, false, func(b *bench) {
		s := b.accept()
		s.tell(snapshot(1, "10.244.0.8"))
		for range 10 {
			time.Sleep(lease / 3)
			s.heartbeat(1)
			b.knows(false, "10.244.0.8")
		}
		last := time.Now()
		s.ended() // two thirds of a lease later
		if silent := time.Since(last); silent != lease*2/3 {
			t.Errorf("patient for %s", silent)
		}
		next := b.accept()
		more := snapshot(5, "10.244.0.9")
		more.Snapshot.More = true
		next.tell(more)
		time.Sleep(time.Until(last.Add(lease)))
		synctest.Wait()
		b.knows(true, "10.244.0.8")
		if len(b.lapses) > 0 {
			t.Error("back already")
		}
	})
}

// TestSuspended holds that a process which was stopped, or whose machine slept, for
// longer than the lease has lapsed at once, and does not take what came meanwhile for
// news: only a new stream counts.
func TestSuspended(t *testing.T) {
	in(t, false, func(b *bench) {
		s := b.accept()
		s.tell(snapshot(1, "10.244.0.8"))
		b.woken(true)
		b.asleep = time.Minute
		b.knows(true, "10.244.0.8")
		s.tell(protocol.ToSidecar{Delta: &protocol.Delta{Version: 2, Add: addresses("10.244.0.66")}})
		b.knows(true, "10.244.0.8")
		s.ended()
		s = b.accept()
		s.tell(snapshot(1, "10.244.0.9"))
		b.knows(false, "10.244.0.9")
		if len(b.lapses) != 1 || b.lapses[0].Duration < time.Minute-lease {
			t.Errorf("told of %+v", b.lapses)
		}
	})
}

// TestAcknowledgementsAreOfTheirStream holds that a new stream hears nothing of what was
// applied of the old one.
func TestAcknowledgementsAreOfTheirStream(t *testing.T) {
	in(t, false, func(b *bench) {
		s := b.accept()
		s.tell(snapshot(40, "10.244.0.8"))
		old := b.Told()
		_ = s.Close()
		s = b.accept()
		b.Applied(old)
		s.tell(protocol.ToSidecar{Held: &protocol.Held{Reason: "wait"}})
		s.tell(snapshot(2, "10.244.0.8"))
		s.heartbeat(2)
		b.Applied(b.Told())
		s.acked(2)
	})
}

// TestNothingOlderIsAskedFor holds that a stream begins with the highest revision that any
// stream told.
func TestNothingOlderIsAskedFor(t *testing.T) {
	in(t, false, func(b *bench) {
		s := b.greeted(0)
		whole := snapshot(1, "10.244.0.8")
		whole.Snapshot.Revision = 70
		s.tell(whole)
		s.tell(protocol.ToSidecar{Delta: &protocol.Delta{Version: 2, Revision: 90}})
		_ = s.Close()
		s = b.greeted(90)
		whole.Snapshot.Revision = 80
		s.tell(whole)
		_ = s.Close()
		b.greeted(90)
	})
}

// TestPausesGrow holds that a feed which is away is asked ever more seldom, at random,
// and that what fails is logged, but not each time.
func TestPausesGrow(t *testing.T) {
	in(t, false, func(b *bench) {
		time.Sleep(10 * time.Minute)
		b.mutex.Lock()
		defer b.mutex.Unlock()
		attempts := len(b.dialled)
		if attempts < 60 || attempts > 400 {
			t.Errorf("%d attempts in ten minutes", attempts)
		}
		pauses := map[time.Duration]bool{}
		for i := range attempts - 1 {
			pause := b.dialled[i+1].Sub(b.dialled[i])
			pauses[pause] = true
			if pause > longestPause+10*time.Millisecond {
				t.Errorf("a pause of %s", pause)
			}
		}
		if len(pauses) < attempts/2 {
			t.Errorf("only %d pauses are different", len(pauses))
		}
		if lines := strings.Count(b.log.String(), "\n"); lines < 5 || lines > 15 {
			t.Errorf("%d lines of log", lines)
		}
	})
}

// Who is sent away for a time does not come before, nor all at that moment.
func TestComesWhenItWasAskedTo(t *testing.T) {
	for header, want := range map[string]struct{ from, to time.Duration }{
		"":                      {0, firstPause},
		"Retry-After: 0\r\n":    {0, firstPause},
		"Retry-After: 2\r\n":    {2 * time.Second, 4 * time.Second},
		"Retry-After: 9999\r\n": {longestPause, 2 * longestPause},
	} {
		shortest, longest := time.Hour, time.Duration(0)
		for range 200 {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, false)
				ctx, cancel := context.WithCancel(t.Context())
				var running sync.WaitGroup
				running.Go(func() { b.Run(ctx) })
				s := <-b.accepts
				s.send("HTTP/1.1 429 Too Many Requests\r\n" + header + "\r\nbusy\n")
				refused := time.Now()
				_ = s.Close()
				_ = (<-b.accepts).Close()
				cancel()
				running.Wait()
				waited := b.dialled[1].Sub(refused)
				shortest, longest = min(shortest, waited), max(longest, waited)
			})
		}
		if shortest < want.from || longest > want.to || longest-shortest < (want.to-want.from)/2 {
			t.Errorf("%q: came again after %s to %s, want %s to %s", header, shortest, longest, want.from, want.to)
		}
	}
}

// TestAdopt holds that what a former life left counts for a lease, or until the feed
// has told.
func TestAdopt(t *testing.T) {
	for name, tells := range map[string]bool{"the feed stays away": false, "the feed tells": true} {
		t.Run(name, func(t *testing.T) {
			in(t, true, func(b *bench) {
				if told := b.Told(); told != (Told{Adopt: true}) {
					t.Errorf("told %+v", told)
				}
				if tells {
					b.accept().tell(snapshot(1, "10.244.0.8"))
					b.woken(true)
					b.knows(false, "10.244.0.8")
					return
				}
				time.Sleep(lease)
				b.woken(true)
				if told := b.Told(); told != (Told{}) {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

// TestEnd holds that what was applied last is acknowledged at the end.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, false)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		s := b.accept()
		s.tell(snapshot(1, "10.244.0.8"))
		b.Applied(b.Told())
		cancel()
		s.acked(1)
		running.Wait()
		if _, err := fmt.Fprint(s, "x"); err == nil {
			t.Error("the stream is open after the end")
		}
	})
}
