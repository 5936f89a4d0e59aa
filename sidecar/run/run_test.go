//go:build linux

package run

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/apply"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// enforcer is a kernel that differs from the plan when told to.
type enforcer struct {
	mu      sync.Mutex
	plan    rules.Plan
	kind    protocol.TamperingKind
	differ  []string
	err     error
	takes   time.Duration
	ensured int
	audited int
	guarded int
}

func (e *enforcer) Ensure(ctx context.Context, plan rules.Plan) (apply.Report, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	time.Sleep(e.takes)
	if ctx.Err() != nil {
		return apply.Report{}, ctx.Err()
	}
	e.ensured++
	e.plan = plan
	report := apply.Report{Whole: e.takes}
	for _, text := range e.differ {
		report.Differences = append(report.Differences, apply.Difference{Kind: cmp.Or(e.kind, protocol.TamperedJump), Text: text})
	}
	e.differ = nil
	return report, e.err
}

func (e *enforcer) Audit(ctx context.Context, plan rules.Plan) (apply.Report, error) {
	report, err := e.Ensure(ctx, plan)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.audited++
	return report, err
}

func (e *enforcer) Dropped() ([]protocol.Drops, error) {
	return []protocol.Drops{{Direction: protocol.In, Reason: "P1", Packets: 3}}, nil
}

func (e *enforcer) Alert() {}

func (e *enforcer) Guard(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.guarded++
	return nil
}

// will sets what the next Ensure meets.
func (e *enforcer) will(differ []string, err error, takes time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.differ, e.err, e.takes = differ, err, takes
}

// calls are how often Ensure and Guard were called.
func (e *enforcer) calls() (ensured, guarded int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ensured, e.guarded
}

type bench struct {
	*Firewall
	enforcer *enforcer
	pod      rules.Pod
	changes  chan struct{}
	log      bytes.Buffer
	records  []protocol.Record
}

func (b *bench) Report(_ context.Context, record protocol.Record) {
	b.records = append(b.records, record)
}

func newBench() *bench {
	b := &bench{enforcer: &enforcer{}, changes: make(chan struct{}, 1)}
	b.pod = rules.Pod{Addresses: []netip.Addr{netip.MustParseAddr("172.16.1.7")}}
	b.Firewall = &Firewall{
		Config: &config.Config{
			Version: config.Version,
			Tenant:  "alice",
			Peers:   []netip.Prefix{netip.MustParsePrefix("172.16.1.0/24")},
			Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16")},
			Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24")},
			Egress:  config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		},
		Enforcer: b.enforcer,
		Look:     func() (rules.Pod, error) { return b.pod, nil },
		Changes:  b.changes,
		Interval: 5 * time.Second,
		Spent:    func() time.Duration { return time.Duration(time.Now().UnixNano()) },
		Retry:    time.Second,
		Count:    10 * time.Second,
		Log:      slog.New(slog.NewJSONHandler(&b.log, nil)),
		Reporter: b,
	}
	return b
}

// watch brings the rules in and watches; the function returned ends it.
func (b *bench) watch(t *testing.T) (stop func() error) {
	t.Helper()
	if err := b.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Watch(ctx) }()
	synctest.Wait()
	return func() error {
		cancel()
		return <-ended
	}
}

// messages are the log's, with their attributes.
func (b *bench) messages(t *testing.T) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(b.log.String()) {
		message := map[string]any{}
		if err := json.Unmarshal([]byte(line), &message); err != nil {
			t.Fatal(err)
		}
		all = append(all, message)
	}
	return all
}

func TestWatchRepairsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		for range 2 {
			b.enforcer.will([]string{"IPv4 INPUT begins with nothing"}, nil, 0)
			b.changes <- struct{}{}
			synctest.Wait()
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		messages := b.messages(t)
		if len(messages) != 2 {
			t.Fatalf("want one line for each tampering, got\n%s", &b.log)
		}
		last := messages[1]
		if last["tamperings"] != 2.0 || last["tenant"] != "alice" || last["level"] != "WARN" || last["differences"] == nil {
			t.Errorf("tampering logged as %v", last)
		}
		if len(b.records) != 3 || b.records[1].Tampering == nil || b.records[1].Tampering.Kind != protocol.TamperedJump ||
			b.records[1].Tampering.Detail != "IPv4 INPUT begins with nothing" {
			t.Errorf("reported %+v", b.records)
		}
	})
}

func TestWatchLooksByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		before, _ := b.enforcer.calls()
		time.Sleep(3*b.Interval + time.Millisecond)
		synctest.Wait()
		if looked, _ := b.enforcer.calls(); looked != before+3 {
			t.Errorf("looked %d times in three intervals", looked-before)
		}
		if b.enforcer.audited != 4 {
			t.Errorf("%d audits, with the first", b.enforcer.audited)
		}
		if len(b.records) != 1 || b.records[0].Drops == nil || b.records[0].Drops.Packets != 3 {
			t.Errorf("reported %+v, want what was dropped, once in ten seconds", b.records)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if b.log.Len() > 0 {
			t.Errorf("nothing happened, but logged %s", &b.log)
		}
	})
}

func TestNewAddressesAreNoTampering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		b.pod.Addresses = append(b.pod.Addresses, netip.MustParseAddr("172.16.1.8"))
		b.enforcer.will([]string{"IPv4 BULKHEAD-SOURCE lacks rule 2"}, nil, 0)
		b.changes <- struct{}{}
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.log.String(), "new addresses") || b.tamperings != 0 {
			t.Errorf("%d tamperings, logged %s", b.tamperings, &b.log)
		}
	})
}

func TestWatchRetriesSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		b.enforcer.will(nil, errors.New("kernel is out of memory"), 0)
		b.changes <- struct{}{}
		synctest.Wait()
		before, _ := b.enforcer.calls()
		b.enforcer.will(nil, nil, 0)
		time.Sleep(b.Retry + time.Millisecond)
		synctest.Wait()
		if after, _ := b.enforcer.calls(); after != before+1 {
			t.Errorf("ensured %d times within the retry", after-before)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.log.String(), "kernel is out of memory") || !strings.Contains(b.log.String(), "in force again") {
			t.Errorf("not logged: %s", &b.log)
		}
		if len(b.records) != 2 || b.records[0].Failure == nil || b.records[0].Failure.Detail != "apply the rules: kernel is out of memory" {
			t.Errorf("reported %+v", b.records)
		}
	})
}

// TestTamperingThatFailsToBeRepaired holds that it is counted when it is repaired at
// last, with what was found first and all the time it took.
func TestTamperingThatFailsToBeRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		b.enforcer.will([]string{"IPv4 INPUT begins with nothing"}, errors.New("the lock is held"), time.Millisecond)
		b.changes <- struct{}{}
		time.Sleep(b.Retry / 2)
		b.enforcer.will([]string{"the guard stands"}, errors.New("the lock is held"), time.Millisecond)
		time.Sleep(b.Retry)
		b.enforcer.will([]string{"the guard stands"}, nil, time.Millisecond)
		time.Sleep(b.Retry)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		var failures int
		var repaired *protocol.Tampering
		for _, record := range b.records {
			if record.Failure != nil {
				failures++
			} else if record.Tampering != nil {
				repaired = record.Tampering
			}
		}
		if failures != 1 || repaired == nil || repaired.Detail != "IPv4 INPUT begins with nothing" || repaired.Whole < 2*b.Retry {
			t.Errorf("%d failures, repaired %+v", failures, repaired)
		}
	})
}

// TestLooksAreNotDear holds that the clock waits longer where a look takes long.
func TestLooksAreNotDear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.enforcer.will(nil, nil, time.Second)
		stop := b.watch(t)
		time.Sleep(time.Minute)
		before, _ := b.enforcer.calls()
		time.Sleep(leisure * time.Second)
		synctest.Wait()
		if after, _ := b.enforcer.calls(); after > before+1 {
			t.Errorf("looked %d times for a second each in %d seconds", after-before, leisure)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBusyMachine holds that looks go on where they take long and cost little.
func TestBusyMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.Spent = func() time.Duration { return 0 }
		b.enforcer.will(nil, nil, time.Second)
		stop := b.watch(t)
		before, _ := b.enforcer.calls()
		time.Sleep(3 * (b.Interval + time.Second))
		synctest.Wait()
		if after, _ := b.enforcer.calls(); after < before+2 {
			t.Errorf("looked %d times in three intervals", after-before)
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestStopCounts holds that a pod which lives shorter than drops are counted is heard of.
func TestStopCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		if err := b.watch(t)(); err != nil {
			t.Fatal(err)
		}
		if len(b.records) != 1 || b.records[0].Drops == nil || b.records[0].Drops.Packets != 3 {
			t.Errorf("reported %+v, want what was dropped", b.records)
		}
	})
}

func TestStopEndsWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		stop := b.watch(t)
		before, _ := b.enforcer.calls()
		b.enforcer.will(nil, nil, time.Second) // canceled meanwhile
		b.changes <- struct{}{}
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		ensured, guarded := b.enforcer.calls()
		if ensured != before+1 {
			t.Error("the repair under way was broken off")
		}
		if guarded > 0 {
			t.Error("guarded on exit")
		}
	})
}

func TestWatchEndsWithTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		close(b.changes)
		if err := b.Watch(t.Context()); err == nil {
			t.Error("no error though nothing can be heard any longer")
		}
	})
}

func TestNoPlanGuards(t *testing.T) {
	cases := map[string]func(*bench){
		"pod cannot be read": func(b *bench) {
			b.Look = func() (rules.Pod, error) { return rules.Pod{}, errors.New("no netlink") }
		},
		"pod of no tenant": func(b *bench) { b.pod.Addresses[0] = netip.MustParseAddr("10.244.0.7") },
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench()
			prepare(b)
			if err := b.Ensure(t.Context()); err == nil {
				t.Error("no error")
			}
			if ensured, guarded := b.enforcer.calls(); ensured != 0 || guarded != 1 {
				t.Errorf("ensured %d times, guarded %d", ensured, guarded)
			}
		})
	}
}
