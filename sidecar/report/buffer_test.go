package report

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

func newBuffer() *buffer { return &buffer{changed: make(chan struct{}, 1)} }

func (b *buffer) empty() bool {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return len(b.records)+len(b.drops) == 0 && len(b.changed) == 0
}

func drops(direction protocol.Direction, reason string, packets uint64) protocol.Record {
	return protocol.Record{Drops: &protocol.Drops{Direction: direction, Reason: reason, Packets: packets, Bytes: 60 * packets}}
}

// Dropped packets add up, and crowd out nothing.
func TestDropsAddUp(t *testing.T) {
	b := newBuffer()
	b.add(failure("first"))
	for range 1000 {
		b.add(drops(protocol.Out, "P3", 2))
		b.add(drops(protocol.In, "P3", 1))
	}
	want := protocol.Report{Records: []protocol.Record{failure("first"), drops(protocol.Out, "P3", 2000), drops(protocol.In, "P3", 1000)}}
	if diff := cmp.Diff(want, b.take()); diff != "" {
		t.Errorf("taken (-want +got):\n%s", diff)
	}
	b.add(drops(protocol.Out, "P3", 1))
	if diff := cmp.Diff(protocol.Report{Records: []protocol.Record{drops(protocol.Out, "P3", 1)}}, b.take(), cmp.Transformer("nil", emptyIsNil)); diff != "" {
		t.Errorf("taken after that (-want +got):\n%s", diff)
	}
}

func emptyIsNil(r []protocol.Record) []protocol.Record { return append([]protocol.Record(nil), r...) }

// A report holds so many; the rest waits for the next one, oldest first.
func TestReportsAreBounded(t *testing.T) {
	b := newBuffer()
	for i := range maxKept {
		b.add(failure(fmt.Sprint(i)))
	}
	for i := range 2 * maxDrops {
		b.add(drops(protocol.Out, fmt.Sprint(i), 1))
	}
	var kept int
	var lost uint64
	for len(b.changed) > 0 {
		<-b.changed
		report := b.take()
		if len(report.Records) > protocol.MaxRecords || len(report.Records) == 0 {
			t.Fatalf("a report of %d records", len(report.Records))
		}
		for _, record := range report.Records {
			if record.Failure != nil && record.Failure.Detail != fmt.Sprint(kept) {
				t.Errorf("%d: %s", kept, record.Failure.Detail)
			}
			kept++
		}
		lost += report.Lost
	}
	if kept != maxKept+maxDrops || lost != maxDrops {
		t.Errorf("%d kept, %d lost", kept, lost)
	}
}

// Whatever the firewall reports, the server takes it.
func TestRecordsAreBroughtWithinBounds(t *testing.T) {
	b := newBuffer()
	b.add(failure(strings.Repeat("line\n", 1000)))
	b.add(protocol.Record{Tampering: &protocol.Tampering{Kind: protocol.TamperedRule, Detail: "\x00", Guarded: -time.Second, Whole: math.MaxInt64}})
	b.add(drops(protocol.Out, "P3", math.MaxUint64))
	b.add(drops(protocol.Out, "P3", math.MaxUint64))
	report := b.take()
	if err := report.Validate(); err != nil {
		t.Error(err)
	}
	if got := report.Records[2].Drops.Packets; got != protocol.MaxCount {
		t.Errorf("%d packets", got)
	}
}
