//go:build linux

// Package peers hears from the feed who the pod's peers are, over a stream that it
// opens again whenever it ends. Nothing waits for it: who wants to know asks Told, and
// is woken when that is another.
//
// What was told counts for a lease after the last line of the stream that told it (S7).
// Nothing prolongs it but that stream: another one, which has not told all, tells
// nothing. A line that comes when the lease is over, as after a pause of the whole
// process, is too late: the stream is given up for a new one.
package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/dial"
)

const (
	// firstPause is the longest pause before the first new attempt; it doubles with
	// each that fails, up to longestPause.
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
	// connecting bounds an attempt, up to the server's answer.
	connecting = 10 * time.Second
	// silence bounds the wait for a line before the server has said how long.
	silence = time.Minute
	// sending bounds a line to the server.
	sending = 5 * time.Second
	// repeating is how often a failure that lasts is logged.
	repeating = time.Minute
)

// switching is the answer that begins the stream.
const switching = 101

// Client holds the stream.
type Client struct {
	*dial.Feed
	Log *slog.Logger
	// Addresses are the pod's.
	Addresses func() ([]netip.Addr, error)
	// Renewed is told of each line that renews the lease, for the next life to know; it
	// must not block.
	Renewed func(lease time.Duration)
	// Lapsed is told of a lapse when it is over; it must not block.
	Lapsed func(protocol.Lapse)

	request func(ctx context.Context, line, header string, body []byte) (net.Conn, func(), error)
	now     func() time.Duration // since any moment
	timer   *time.Timer          // at the end of the lease
	changed chan struct{}
	acks    chan struct{} // holds a signal while there is something to acknowledge

	mutex sync.Mutex
	known
}

// New makes a client; Run connects. For adopt it stands for what a former life left in
// the kernel: what is left of its lease.
func New(feed *config.Feed, adopt time.Duration, log *slog.Logger) (*Client, error) {
	server, err := dial.New(feed)
	if err != nil {
		return nil, err
	}
	return newClient(server, server.Request, boottime, adopt, log), nil
}

func newClient(server *dial.Feed, request func(context.Context, string, string, []byte) (net.Conn, func(), error), now func() time.Duration, adopt time.Duration, log *slog.Logger) *Client {
	c := &Client{
		Feed:      server,
		Log:       log,
		Addresses: func() ([]netip.Addr, error) { return nil, nil },
		Renewed:   func(time.Duration) {},
		Lapsed:    func(protocol.Lapse) {},
		request:   request,
		now:       now,
		changed:   make(chan struct{}, 1),
		acks:      make(chan struct{}, 1),
	}
	if adopt > 0 {
		c.until = now() + adopt
	}
	c.timer = time.AfterFunc(adopt, c.expire)
	return c
}

// boottime goes on while the machine sleeps, unlike the clock of package time.
func boottime() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		panic(fmt.Sprintf("read the clock: %v", err)) // there is none without it (clock_gettime(2))
	}
	return time.Duration(now.Nano())
}

// Run holds the stream until the context ends.
func (c *Client) Run(ctx context.Context) {
	defer c.timer.Stop()
	pause := firstPause
	var said time.Duration
	failing := false
	for {
		whole, err := c.stream(ctx)
		if ctx.Err() != nil {
			return
		}
		if whole {
			pause, failing = firstPause, false
		}
		if now := c.now(); !failing || now-said >= repeating {
			c.Log.Info("the stream of peers has ended, another is sought", "error", err.Error())
			failing, said = true, now
		}
		if !sleep(ctx, before(pause, err)) {
			return
		}
		pause = min(2*pause, longestPause)
	}
}

// before is how long to wait before the next attempt. All of it is at random: sidecars
// that lost the feed together come back one by one; also those that it sent away together,
// when it has asked them to come again.
func before(pause time.Duration, err error) time.Duration {
	if refused, ok := errors.AsType[*refusal](err); ok && refused.again > 0 {
		again := min(refused.again, longestPause)
		return again + rand.N(max(pause, again))
	}
	return rand.N(pause)
}

// refusal is an answer that is no stream.
type refusal struct {
	code  int
	text  string
	again time.Duration // when to come again; 0: it does not say
}

func (r *refusal) Error() string { return fmt.Sprintf("answer %d: %s", r.code, r.text) }

// stream holds one stream until it ends, and says whether it has told all.
func (c *Client) stream(ctx context.Context) (whole bool, err error) {
	connection, lines, err := c.connect(ctx)
	if err != nil {
		return false, err
	}
	defer connection.Close()
	number := c.begin()
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = connection.SetReadDeadline(time.Now()) })()
	var writer sync.WaitGroup
	writer.Go(func() { c.acknowledge(ctx, connection, number) })
	defer writer.Wait()
	defer cancel()

	var state protocol.State
	wait := silence
	for {
		_ = connection.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil { // it may have set the deadline before
			return state.Complete, ctx.Err()
		}
		message, err := protocol.ReadToSidecar(lines)
		if err != nil {
			return state.Complete, err
		}
		if message.Held != nil {
			c.Log.Info("the feed lets this pod wait for its peers", "reason", message.Held.Reason)
		}
		if err := c.take(&state, message, number); err != nil {
			return state.Complete, err
		}
		if state.Complete {
			wait = state.Lease * 2 / 3 // is two heartbeats, and leaves time for another stream
		}
	}
}

// connect opens a stream and says who is there.
func (c *Client) connect(ctx context.Context) (net.Conn, *bufio.Reader, error) {
	addresses, err := c.Addresses()
	if err != nil {
		return nil, nil, err
	}
	hello, err := protocol.Encode(protocol.ToServer{Hello: &protocol.Hello{Addresses: addresses, Revision: c.revision()}})
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connecting)
	defer cancel()
	connection, end, err := c.request(ctx, "GET "+protocol.PeersPath+" HTTP/1.1",
		"Connection: Upgrade\r\nUpgrade: "+protocol.Upgrade+"\r\n", nil)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	lines := bufio.NewReader(connection)
	code, again, err := dial.ReadHeader(lines)
	if err == nil && code != switching {
		text, _ := lines.Peek(lines.Buffered())
		err = &refusal{code, protocol.Text(strings.TrimSpace(string(text))), again}
	}
	if err == nil {
		_, err = connection.Write(hello)
	}
	if err != nil {
		_ = connection.Close()
		return nil, nil, err
	}
	return connection, lines, nil
}

// acknowledge says what is applied, whenever there is reason to and once more at the
// end. A line that cannot be sent ends the stream.
func (c *Client) acknowledge(ctx context.Context, connection net.Conn, number uint64) {
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
			select {
			case <-c.acks:
			default:
				return
			}
		case <-c.acks:
		}
		version, any := c.toAcknowledge(number)
		if !any {
			continue
		}
		line, err := protocol.Encode(protocol.ToServer{Ack: &version})
		if err == nil {
			_ = connection.SetWriteDeadline(time.Now().Add(sending))
			_, err = connection.Write(line)
		}
		if err != nil {
			_ = connection.Close()
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
