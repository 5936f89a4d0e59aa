package feed

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const (
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
