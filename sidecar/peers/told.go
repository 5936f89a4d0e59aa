//go:build linux

package peers

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Told is what the feed has told. Two are equal if they tell the same.
type Told struct {
	// Live is nil as long as nothing was told.
	Live *rules.Live
	// Adopt says that nothing was told yet, but what the kernel's sets hold may
	// count.
	Adopt bool

	stream, version uint64
}

// Open are the public ports told of, in an order.
func (t Told) Open() []protocol.Open {
	if t.Live == nil {
		return nil
	}
	return t.Live.Open
}

// known is what a Client knows, under its mutex.
type known struct {
	state *protocol.State // of the last stream that told all
	live  *rules.Live     // the same, or nil if it is to be made
	from  uint64          // the stream of state
	until time.Duration   // the end of the lease, by the client's clock
	said  bool            // that the lease has ended

	newest  uint64 // the highest revision
	number  uint64 // of the stream that is open
	applied Told   // the last one
}

// Changed is sent to when Told may be another.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// Told is what counts now.
func (c *Client) Told() Told {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	past := c.now() >= c.until
	if c.state == nil {
		return Told{Adopt: !past}
	}
	if c.live == nil {
		c.live = &rules.Live{
			Cluster: c.state.Cluster,
			Peers:   slices.SortedFunc(maps.Keys(c.state.Peers), netip.Addr.Compare),
			Denied:  slices.SortedFunc(maps.Keys(c.state.Denied), netip.Addr.Compare),
			Open:    slices.SortedFunc(maps.Keys(c.state.Open), protocol.Open.Compare),
			Lapsed:  past,
		}
	}
	if c.live.Lapsed != past {
		live := *c.live
		live.Lapsed = past
		c.live = &live
	}
	return Told{Live: c.live, stream: c.from, version: c.state.Version}
}

// Applied says that the kernel holds what was told. It never waits.
func (c *Client) Applied(told Told) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if told.Live == nil || told == c.applied {
		return
	}
	c.applied = told
	signal(c.acks)
}

// begin gives a new stream its number.
func (c *Client) begin() uint64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.number++
	return c.number
}

// revision is the last that was told: no replica may tell what is older.
func (c *Client) revision() uint64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.newest
}

// toAcknowledge is the version that is applied of a stream, if any is.
func (c *Client) toAcknowledge(stream uint64) (version uint64, any bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.applied.version, c.applied.Live != nil && c.applied.stream == stream
}

// take brings a line into a stream's state. After an error the stream is of no use,
// and what it told before counts to the end of its lease.
func (c *Client) take(state *protocol.State, message *protocol.ToSidecar, stream uint64) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	now := c.now()
	if state == c.state && now >= c.until {
		return errors.New("the lease had ended when the line came")
	}
	changed, err := state.Apply(message)
	if err != nil {
		return err
	}
	live := followed(c.live, message.Delta)
	if !changed && state != c.state {
		return nil
	}
	if c.until > 0 && now >= c.until {
		lapse := protocol.Lapse{Time: time.Now().Add(c.until - now), Duration: now - c.until}
		c.Log.Info("the feed is back", "gone", lapse.Duration.String())
		c.Lapsed(lapse)
	}
	c.until, c.said = now+state.Lease, false
	c.timer.Reset(state.Lease)
	c.Renewed(state.Lease)
	c.newest = max(c.newest, state.Revision)
	if changed {
		c.state, c.from, c.live = state, stream, live
		signal(c.changed)
	} else if message.Heartbeat != nil {
		signal(c.acks)
	}
	return nil
}

// few is how many changes are made to what is in order, one by one; with more it is put
// in order anew.
const few = 64

// followed is what was told with a delta of peers alone, or nil if it is to be made anew.
func followed(live *rules.Live, d *protocol.Delta) *rules.Live {
	if live == nil || d == nil || d.Cluster != nil || d.Entries() > few || d.Entries() > len(d.Remove)+len(d.Add) {
		return nil
	}
	next := *live
	next.Peers = append(make([]netip.Addr, 0, len(live.Peers)+len(d.Add)), live.Peers...)
	for _, addr := range d.Remove {
		if at, ok := slices.BinarySearchFunc(next.Peers, addr, netip.Addr.Compare); ok {
			next.Peers = slices.Delete(next.Peers, at, at+1)
		}
	}
	for _, addr := range d.Add {
		if at, ok := slices.BinarySearchFunc(next.Peers, addr, netip.Addr.Compare); !ok {
			next.Peers = slices.Insert(next.Peers, at, addr)
		}
	}
	return &next
}

// expire is called at the end of the lease, by a clock that may be slow.
func (c *Client) expire() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.until == 0 || c.said {
		return
	}
	if left := c.until - c.now(); left > 0 {
		c.timer.Reset(left)
		return
	}
	c.said = true
	c.Log.Warn("the feed has been gone for longer than its lease: nobody new is admitted")
	signal(c.changed)
}

func signal(to chan<- struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}
