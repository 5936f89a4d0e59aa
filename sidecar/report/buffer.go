package report

import (
	"slices"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const (
	// maxKept bounds what waits to be sent, beside drops.
	maxKept = 64
	// maxDrops bounds the pairs of direction and reason that wait. There are fewer.
	maxDrops = 128
)

// buffer keeps records until they are taken. Drops of one direction and reason are
// one record, so that they crowd nothing out.
type buffer struct {
	changed chan struct{} // holds a signal while there is more to take than drops

	mutex   sync.Mutex
	records []protocol.Record // no drops
	drops   []protocol.Drops
	lost    uint64
}

func (b *buffer) add(record protocol.Record) {
	record = within(record)
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if record.Drops != nil {
		b.addDrops(*record.Drops)
		return
	}
	defer b.signal()
	if len(b.records) == maxKept {
		b.records = slices.Delete(b.records, 0, 1)
		b.lost++
	}
	b.records = append(b.records, record)
}

func (b *buffer) addDrops(d protocol.Drops) {
	for i := range b.drops {
		if sum := &b.drops[i]; sum.Direction == d.Direction && sum.Reason == d.Reason {
			sum.Packets = min(sum.Packets+d.Packets, protocol.MaxCount)
			sum.Bytes = min(sum.Bytes+d.Bytes, protocol.MaxCount)
			return
		}
	}
	if len(b.drops) == maxDrops {
		b.lost++
		return
	}
	b.drops = append(b.drops, d)
}

// within brings a record within the protocol's bounds: one that is not would cost
// the others of its report.
func within(record protocol.Record) protocol.Record {
	duration := func(d time.Duration) time.Duration { return min(max(d, 0), protocol.MaxDuration) }
	switch {
	case record.Tampering != nil:
		t := *record.Tampering
		t.Detail, t.Guarded, t.Whole = protocol.Text(t.Detail), duration(t.Guarded), duration(t.Whole)
		return protocol.Record{Tampering: &t}
	case record.Failure != nil:
		f := *record.Failure
		f.Detail = protocol.Text(f.Detail)
		return protocol.Record{Failure: &f}
	case record.Drops != nil:
		d := *record.Drops
		d.Packets, d.Bytes = min(d.Packets, protocol.MaxCount), min(d.Bytes, protocol.MaxCount)
		return protocol.Record{Drops: &d}
	case record.Lapse != nil:
		l := *record.Lapse
		l.Duration = min(max(l.Duration, 0), protocol.MaxLapse)
		return protocol.Record{Lapse: &l}
	}
	return record
}

// take returns the oldest records, as many as a report holds.
func (b *buffer) take() protocol.Report {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	count := min(len(b.records), protocol.MaxRecords)
	report := protocol.Report{Records: slices.Clone(b.records[:count]), Lost: b.lost}
	b.records, b.lost = slices.Delete(b.records, 0, count), 0
	count = min(len(b.drops), protocol.MaxRecords-count)
	for _, d := range b.drops[:count] {
		report.Records = append(report.Records, protocol.Record{Drops: &d})
	}
	b.drops = slices.Delete(b.drops, 0, count)
	if len(b.records)+len(b.drops) > 0 {
		b.signal()
	}
	return report
}

func (b *buffer) signal() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}
