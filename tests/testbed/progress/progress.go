// Package progress tells a person what the test bed is doing, a line for each step with the time that it took, and
// remembers the times for the report.
package progress

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Log prints steps. Create one with New; its methods may be called from several goroutines.
type Log struct {
	mu    sync.Mutex
	out   io.Writer
	steps map[string]time.Duration
}

// New returns a Log that writes to out.
func New(out io.Writer) *Log {
	return &Log{out: out, steps: map[string]time.Duration{}}
}

// Step runs f and prints what it was and how long it took. The error is f's, with the step's name in front.
func (l *Log) Step(name string, f func() error) error {
	l.print("  %s …\n", name)
	began := time.Now()
	err := f()
	took := time.Since(began)
	l.mu.Lock()
	l.steps[name] = took
	l.mu.Unlock()
	if err != nil {
		l.print("✗ %s: failed after %.1f s\n", name, took.Seconds())
		return fmt.Errorf("%s: %w", name, err)
	}
	l.print("✓ %s: %.1f s\n", name, took.Seconds())
	return nil
}

// Printf prints one line that is not a step.
func (l *Log) Printf(format string, args ...any) {
	l.print(format+"\n", args...)
}

// Took says how long the last step of that name took, zero if there was none.
func (l *Log) Took(name string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.steps[name]
}

func (l *Log) print(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// A progress line that cannot be written is no reason to fail the run.
	_, _ = fmt.Fprintf(l.out, format, args...)
}
