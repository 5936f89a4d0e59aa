//go:build linux

package droplog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

const (
	// window is how long a flow is not told of again.
	window = time.Minute
	// mostFlows are told of in a window; of others how many packets they had.
	mostFlows = 100
)

// Log makes lines of flows. It is not for concurrent use.
type Log struct {
	out *slog.Logger
	// began: the window begins with the first flow that is told of.
	began time.Time
	flows map[Flow]int // packets not told of
	other int          // packets of flows beyond mostFlows
}

// NewLog makes a Log that writes to a logger.
func NewLog(out *slog.Logger) *Log { return &Log{out: out, flows: map[Flow]int{}} }

// Read writes what comes from a file of Listen's, until the context ends, which is no
// error, or the file does.
func (l *Log) Read(ctx context.Context, file *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = file.Close() }) // ends the Read below
	defer stop()
	buffer := make([]byte, 64<<10)
	for {
		if err := file.SetReadDeadline(time.Now().Add(window)); err != nil && ctx.Err() == nil {
			return fmt.Errorf("read dropped packets: %w", err)
		}
		n, err := file.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded), nfnetlink.Overrun(err):
		case err != nil:
			return fmt.Errorf("read dropped packets: %w", err)
		}
		now := time.Now()
		for message := range nfnetlink.Messages(buffer[:max(n, 0)]) {
			if flow, ok := flow(message); ok {
				l.packet(flow, now)
			}
		}
		l.tick(now)
	}
}

// packet tells of a flow's first packet and counts the others.
func (l *Log) packet(flow Flow, now time.Time) {
	if len(l.flows) == 0 {
		l.began = now
	}
	if _, ok := l.flows[flow]; ok {
		l.flows[flow]++
		return
	}
	if len(l.flows) >= mostFlows {
		l.other++
		return
	}
	l.flows[flow] = 0
	l.tell("packet dropped", flow, 0)
}

// tick closes the window when its time is over. What went on is told of, once, and goes
// on to be known; the others are forgotten.
func (l *Log) tick(now time.Time) {
	if now.Sub(l.began) < window {
		return
	}
	for flow, suppressed := range l.flows {
		if suppressed == 0 {
			delete(l.flows, flow)
			continue
		}
		l.tell("more packets dropped", flow, suppressed)
		l.flows[flow] = 0
	}
	if l.other > 0 {
		l.out.Warn("packets of more flows dropped", "suppressed", l.other)
	}
	l.began, l.other = now, 0
}

// tell writes a line. Suppressed packets are those of them that came through the rate
// limit of the rules: there may have been more.
func (l *Log) tell(message string, flow Flow, suppressed int) {
	l.out.Warn(message, "direction", flow.Direction, "reason", flow.Reason,
		"source", flow.Source.String(), "destination", flow.Destination.String(),
		"protocol", flow.Protocol, "port", flow.Port, "suppressed", suppressed)
}
