// Package report tells the webhook's side what happened to the firewall: tampering,
// failures, dropped packets. Nothing in the firewall depends on it. What cannot be
// told is kept, within bounds, and told later; what is more than the bounds is lost
// oldest first, and that is told too.
package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/dial"
)

const (
	// pause is the least time between two reports: what happens meanwhile goes
	// together.
	pause = time.Second
	// dropsPause is about how long counts of dropped packets gather when there is
	// nothing else to report.
	dropsPause = time.Minute
	// longestPause is where the pause stops to double after failures.
	longestPause = 2 * time.Minute
	// timeout of one report.
	timeout = 10 * time.Second
	// farewell is how long the end may wait for what is left to be sent.
	farewell = time.Second
)

// Client sends records to the feed.
type Client struct {
	*dial.Feed
	Log *slog.Logger

	buffer buffer

	pause, dropsPause, longestPause, farewell time.Duration
}

// New makes a client; Run sends.
func New(feed *config.Feed, log *slog.Logger) (*Client, error) {
	server, err := dial.New(feed)
	if err != nil {
		return nil, err
	}
	return &Client{
		Feed:         server,
		Log:          log,
		buffer:       buffer{changed: make(chan struct{}, 1)},
		pause:        pause,
		dropsPause:   dropsPause,
		longestPause: longestPause,
		farewell:     farewell,
	}, nil
}

// Report keeps the record for Run to send. It never waits, so there is nothing for a
// context to end.
func (c *Client) Report(_ context.Context, record protocol.Record) { c.buffer.add(record) }

// Run sends what is reported until the context ends, and then what is left, once: a
// pod may live shorter than its drops gather. A report that is under way when the
// context ends has the farewell's time too: cut off, it would be told twice.
func (c *Client) Run(ctx context.Context) {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(c.farewell, cancel) })()

	report := c.run(ctx, sending)
	if empty(report) {
		report = c.buffer.take()
	}
	for ; !empty(report); report = c.buffer.take() {
		if err := c.send(sending, report); err != nil {
			c.Log.Warn("the last report was not taken", "error", err.Error())
			return
		}
	}
}

// run sends until the context ends and returns the report that was not taken by then.
func (c *Client) run(ctx, sending context.Context) protocol.Report {
	drops := time.NewTimer(jittered(c.dropsPause))
	defer drops.Stop()
	for {
		select {
		case <-ctx.Done():
			return protocol.Report{}
		case <-c.buffer.changed:
		case <-drops.C:
		}
		drops.Reset(jittered(c.dropsPause))
		report := c.buffer.take()
		if empty(report) {
			continue
		}
		if report.Lost > 0 {
			c.Log.Warn("records were lost before they could be reported", "lost", report.Lost)
		}
		for wait := c.pause; ; wait = min(2*wait, c.longestPause) {
			err := c.send(sending, report)
			if err != nil {
				c.Log.Warn("report was not taken", "error", err.Error())
			}
			done := err == nil || errors.Is(err, errRefused)
			if done {
				report = protocol.Report{}
			}
			if !sleep(ctx, jittered(wait)) {
				return report
			}
			if done {
				break
			}
		}
	}
}

func empty(report protocol.Report) bool { return len(report.Records) == 0 && report.Lost == 0 }

// errRefused: saying it again does not help.
var errRefused = errors.New("the feed does not understand it")

func (c *Client) send(ctx context.Context, report protocol.Report) error {
	body, err := json.Marshal(report)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	code, reason, err := c.post(ctx, body)
	if err != nil || code == taken {
		return err
	}
	err = fmt.Errorf("answer %d: %s", code, reason)
	if code == notUnderstood {
		err = fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// jittered is the half of it and the other half at random: sidecars that lost the
// feed together come back one by one.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

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
