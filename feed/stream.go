package feed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const (
	// maxStreams of all pods, and of one tenant's.
	maxStreams          = 20000
	maxStreamsPerTenant = maxStreams / 2
	// maxLag is how many deltas a pod may be behind.
	maxLag = 4096
	// spareLines is how many more lines than it was told a pod may say.
	spareLines = 16
	// heldFirst and heldLast are how often it is looked whether a pod may hear.
	heldFirst = 10 * time.Millisecond
	heldLast  = 250 * time.Millisecond
	// batch is about how much is written at once.
	batch = 16 << 10
)

// patience is how long is waited for a pod.
type patience struct {
	// hello is for the first line, write for what it is told to be read, ack for it to
	// be applied.
	hello, write, ack time.Duration
	// age is that of a stream, of which up to a quarter is taken off by chance: so what
	// nobody foresaw ends, and replicas come to have their share.
	age time.Duration
}

func usualPatience() patience {
	return patience{hello: 5 * time.Second, write: 5 * time.Second, ack: 5 * time.Second, age: time.Hour}
}

// streams are the connections by which sidecars hear who their peers are.
type streams struct {
	store   *peers.Store
	lease   time.Duration
	metrics *Metrics
	patience
	places *places // by tenant
	drain  atomic.Pointer[time.Duration]
	leave  chan struct{} // closed when drain is set
}

// open changes the protocol of a request of a pod's, and goes on by itself.
func (s *streams) open(w http.ResponseWriter, r *http.Request, from sender) {
	if !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != protocol.Upgrade {
		w.Header().Set("Upgrade", protocol.Upgrade)
		refuse(w, http.StatusUpgradeRequired, "this path speaks "+protocol.Upgrade)
		return
	}
	ref := from.ref()
	switch err := s.store.Admits(ref); {
	case errors.Is(err, peers.ErrNotReady), s.drain.Load() != nil:
		refuse(w, http.StatusServiceUnavailable, "this replica does not serve streams now")
		return
	case err != nil:
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	if !s.places.begin(from.tenant) {
		refuse(w, http.StatusServiceUnavailable, "too many streams")
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.places.end(from.tenant)
		klog.ErrorS(err, "Cannot take over a connection")
		refuse(w, http.StatusInternalServerError, "internal error")
		return
	}
	reader, err := small(connection, buffered.Reader)
	go func() {
		defer s.places.end(from.tenant)
		if err != nil {
			_ = connection.Close()
			return
		}
		one := &stream{streams: s, connection: connection, reader: reader, pod: ref, ends: s.ends(from.Expires)}
		err := guardedRun(one.run)
		_ = connection.Close() // whatever it was, the sidecar comes again
		s.metrics.ended(reasonOf(err))
		klog.V(4).InfoS("Stream ended", "pod", klog.KRef(ref.Namespace, ref.Name), "reason", err)
	}()
}

// small replaces a reader that keeps alive what the request needed: there are many
// streams, and little is said on them.
func small(connection net.Conn, reader *bufio.Reader) (*bufio.Reader, error) {
	early, err := io.ReadAll(io.LimitReader(reader, int64(reader.Buffered())))
	if err != nil {
		return nil, fmt.Errorf("read what has come: %w", err)
	}
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), connection), 512), nil
}

// guardedRun makes an end of a panic: no pod may end the server.
func guardedRun(run func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			klog.ErrorS(nil, "A stream panicked", "panic", reason, "stack", string(debug.Stack()))
			err = &endError{"panic", "internal error"}
		}
	}()
	return run()
}

// ends is when a stream ends anyway: with the token, or of age.
func (p patience) ends(expires time.Time) time.Time {
	if end := time.Now().Add(p.age - rand.N(p.age/4)); expires.IsZero() || end.Before(expires) {
		return end
	}
	return expires
}

// Drain has the streams end, spread over the time, and lets none begin.
func (s *streams) Drain(over time.Duration) {
	if s.drain.CompareAndSwap(nil, &over) {
		close(s.leave)
	}
}

// stream is one of them.
type stream struct {
	*streams
	connection net.Conn
	reader     *bufio.Reader
	pod        peers.PodRef
	ends       time.Time

	member *peers.Member
	// told is the version that was sent last, lines how many lines were.
	told, acked, lines atomic.Uint64
	heard              chan error // the end of what the pod says
}

// endError is an end that is counted by its reason.
type endError struct{ reason, text string }

func (e *endError) Error() string { return e.text }

func reasonOf(err error) string {
	if end, ok := errors.AsType[*endError](err); ok {
		return end.reason
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "slow"
	}
	return "closed"
}

// run serves the stream to its end.
func (t *stream) run() error {
	// What bounded the request bounds the stream no more.
	if err := t.connection.SetDeadline(time.Now().Add(t.hello)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol.Upgrade + "\r\n\r\n"
	if _, err := t.connection.Write([]byte(answer)); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	first, err := protocol.ReadToServer(t.reader)
	if err != nil {
		return fmt.Errorf("read hello: %w", err)
	}
	if first.Hello == nil {
		return &endError{"protocol", "the first line is no hello"}
	}
	if t.member, err = t.store.Join(t.pod, *first.Hello); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	defer t.member.Leave()
	defer t.metrics.joined(t.member.Tenant())()
	t.heard = make(chan error, 1)
	go func() { t.heard <- guardedRun(t.hear) }()
	cursor, err := t.begin()
	if err != nil {
		return err
	}
	return t.tell(cursor)
}

// hear takes what the pod says, until it says what it must not, or nothing for a lease.
func (t *stream) hear() error {
	for said := uint64(0); ; said++ {
		if err := t.connection.SetReadDeadline(time.Now().Add(t.lease)); err != nil {
			return fmt.Errorf("set deadline: %w", err)
		}
		message, err := protocol.ReadToServer(t.reader)
		switch {
		case err != nil:
			return err
		case message.Ack == nil:
			return &endError{"protocol", "a second hello"}
		case *message.Ack > t.told.Load():
			return &endError{"protocol", "acknowledges what it was not told"}
		case *message.Ack < t.acked.Load():
			return &endError{"protocol", "takes an acknowledgement back"}
		case said > t.lines.Load()+spareLines:
			return &endError{"protocol", "says more than it hears"}
		}
		t.acked.Store(*message.Ack)
		t.member.Ack(*message.Ack)
	}
}

// begin waits until the pod may hear, and sends the snapshot.
func (t *stream) begin() (*peers.Line, error) {
	since := time.Now()
	heartbeat := time.NewTicker(t.lease / 3)
	defer heartbeat.Stop()
	reason := ""
	for pause := heldFirst; ; pause = min(2*pause, heldLast) {
		snapshot, cursor, held, err := t.member.Listen()
		if err != nil {
			return nil, &endError{"gone", err.Error()}
		}
		if held == "" {
			t.metrics.waited(time.Since(since))
			t.told.Store(cursor.Version)
			for _, line := range snapshot {
				if err := t.write(line, 1); err != nil {
					return nil, err
				}
			}
			return cursor, nil
		}
		if held != reason {
			reason = held
			if err := t.say(protocol.ToSidecar{Held: &protocol.Held{Reason: protocol.Text(held)}}); err != nil {
				return nil, err
			}
		}
		select {
		case <-time.After(pause):
		case <-heartbeat.C:
			if err := t.say(protocol.ToSidecar{Heartbeat: new(uint64)}); err != nil {
				return nil, err
			}
		case err := <-t.heard:
			return nil, err
		case <-t.member.Done():
			return nil, &endError{"gone", t.member.Reason()}
		case <-t.leave:
			return nil, &endError{"drained", "the server ends"}
		}
	}
}

// tell sends deltas, and heartbeats where there are none.
func (t *stream) tell(cursor *peers.Line) error {
	leave := t.streams.leave
	var drained <-chan time.Time
	var buffer []byte
	await := awaited{version: cursor.Version, since: time.Now(), within: t.ack}
	quiet := time.Now() // since when nothing was sent
	timer := time.NewTimer(t.lease / 3)
	defer timer.Stop()
	for {
		timer.Reset(min(time.Until(quiet.Add(t.lease/3)), time.Until(t.ends), time.Until(await.by())))
		select {
		case <-cursor.More():
			buffer = buffer[:0]
			lines := uint64(0)
			for next := cursor.Next(); next != nil && len(buffer) < batch; next = cursor.Next() {
				cursor, buffer, lines = next, append(buffer, next.Text...), lines+1
				select {
				case <-cursor.More():
					continue
				default:
				}
				break
			}
			t.told.Store(cursor.Version)
			if err := t.write(buffer, lines); err != nil {
				return err
			}
			if cap(buffer) > 2*batch {
				buffer = nil
			}
			quiet = time.Now()
			await.told(cursor.Version, t.acked.Load(), quiet)
			if lag := t.member.Version() - cursor.Version; lag > maxLag && lag < 1<<63 {
				return &endError{"slow", "is too far behind"}
			}
		case now := <-timer.C:
			switch {
			case !now.Before(t.ends):
				return &endError{"age", "the token's or the stream's time is up"}
			case !await.applied(t.told.Load(), t.acked.Load(), now):
				return &endError{"unacknowledged", "does not acknowledge"}
			case !now.Before(quiet.Add(t.lease / 3)):
				version := cursor.Version
				if err := t.say(protocol.ToSidecar{Heartbeat: &version}); err != nil {
					return err
				}
				quiet = time.Now()
			}
		case err := <-t.heard:
			return err
		case <-t.member.Done():
			return &endError{"gone", t.member.Reason()}
		case <-leave:
			drained, leave = time.After(rand.N(*t.drain.Load()+1)), nil
		case <-drained:
			return &endError{"drained", "the server ends"}
		}
	}
}

// awaited is a version that the pod must acknowledge; 0: none.
type awaited struct {
	version uint64
	since   time.Time
	within  time.Duration
}

// by is when it must have.
func (a *awaited) by() time.Time {
	if a.version == 0 {
		return time.Now().Add(time.Hour)
	}
	return a.since.Add(a.within)
}

func (a *awaited) told(version, acked uint64, now time.Time) {
	if a.version == 0 || acked >= a.version {
		a.version, a.since = version, now
	}
}

// applied is false when the time is over.
func (a *awaited) applied(told, acked uint64, now time.Time) bool {
	switch {
	case a.version == 0 || acked >= told:
		a.version = 0
	case acked >= a.version:
		a.version, a.since = told, now
	case !now.Before(a.since.Add(a.within)):
		return false
	}
	return true
}

func (t *stream) say(message protocol.ToSidecar) error {
	line, err := protocol.Encode(message)
	if err != nil {
		return err
	}
	return t.write(line, 1)
}

func (t *stream) write(text []byte, lines uint64) error {
	t.lines.Add(lines)
	if err := t.connection.SetWriteDeadline(time.Now().Add(t.patience.write)); err != nil {
		return fmt.Errorf("set deadline: %w", err)
	}
	n, err := t.connection.Write(text)
	t.metrics.sent(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
