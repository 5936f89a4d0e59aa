package fakefeed

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// switching is the answer behind which the stream begins.
const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + protocol.Upgrade + "\r\n\r\n"

// View is what one bearer is told. All streams of it hear the same.
type View struct {
	mutex   sync.Mutex
	state   protocol.State
	script  func(net.Conn)
	streams map[*stream]struct{}
	acked   uint64
	hellos  []protocol.Hello
	changed chan struct{} // closed and made anew with each ack and each stream
}

type stream struct {
	lines chan any // to be sent
	end   func()
}

// Tell sends a snapshot now, and to streams to come, and returns its version.
func (v *View) Tell(snapshot protocol.Snapshot) uint64 {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	snapshot.Version = max(snapshot.Version, v.state.Version+1)
	v.apply(protocol.ToSidecar{Snapshot: &snapshot})
	return snapshot.Version
}

// Change sends a delta and returns its version.
func (v *View) Change(delta protocol.Delta) uint64 {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	delta.Version = v.state.Version + 1
	v.apply(protocol.ToSidecar{Delta: &delta})
	return delta.Version
}

// Add and Remove change the peers.
func (v *View) Add(peers ...netip.Addr) uint64    { return v.Change(protocol.Delta{Add: peers}) }
func (v *View) Remove(peers ...netip.Addr) uint64 { return v.Change(protocol.Delta{Remove: peers}) }

// Script answers streams to come instead: the connection is past its request and
// nothing has been sent.
func (v *View) Script(script func(net.Conn)) {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.script = script
}

// Forget tells streams to come nothing but that they are held, until Tell.
func (v *View) Forget() {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	v.state = protocol.State{}
}

// Cut ends the streams.
func (v *View) Cut() {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	for one := range v.streams {
		one.end()
	}
}

// Acked waits until a version was acknowledged.
func (v *View) Acked(ctx context.Context, version uint64) error {
	return v.until(ctx, func() bool { return v.acked >= version })
}

// Greeted waits until there were so many streams, and returns their first lines.
func (v *View) Greeted(ctx context.Context, count int) ([]protocol.Hello, error) {
	err := v.until(ctx, func() bool { return len(v.hellos) >= count })
	v.mutex.Lock()
	defer v.mutex.Unlock()
	return slices.Clone(v.hellos), err
}

func (v *View) until(ctx context.Context, condition func() bool) error {
	for {
		v.mutex.Lock()
		done, changed := condition(), v.changed
		v.mutex.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the sidecar: %w", ctx.Err())
		case <-changed:
		}
	}
}

func (v *View) apply(message protocol.ToSidecar) {
	if _, err := v.state.Apply(&message); err != nil {
		panic(err) // the test's mistake
	}
	for one := range v.streams {
		one.lines <- message
	}
}

// whole is the view as a snapshot.
func (v *View) whole() protocol.Snapshot {
	return protocol.Snapshot{
		Version: v.state.Version, LeaseMilliseconds: v.state.Lease.Milliseconds(), Cluster: v.state.Cluster,
		Peers: slices.Collect(maps.Keys(v.state.Peers)), Denied: slices.Collect(maps.Keys(v.state.Denied)), Open: slices.Collect(maps.Keys(v.state.Open)),
	}
}

func (v *View) notify() {
	close(v.changed)
	v.changed = make(chan struct{})
}

// serve holds a stream.
func (v *View) serve(connection net.Conn, reader *bufio.Reader) {
	v.mutex.Lock()
	script := v.script
	v.mutex.Unlock()
	if script != nil {
		script(connection)
		return
	}
	if _, err := connection.Write([]byte(switching)); err != nil {
		return
	}
	first, err := protocol.ReadToServer(reader)
	if err != nil || first.Hello == nil {
		return
	}
	one := &stream{lines: make(chan any, 1<<12), end: func() { _ = connection.Close() }}
	v.mutex.Lock()
	v.streams[one] = struct{}{}
	v.hellos = append(v.hellos, *first.Hello)
	if v.state.Complete {
		whole := v.whole()
		one.lines <- protocol.ToSidecar{Snapshot: &whole}
	} else {
		one.lines <- protocol.ToSidecar{Held: &protocol.Held{Reason: "the test says so"}}
	}
	v.notify()
	v.mutex.Unlock()
	ended := make(chan struct{})
	go v.send(connection, one, ended)
	for {
		message, err := protocol.ReadToServer(reader)
		if err != nil || message.Ack == nil {
			break
		}
		v.mutex.Lock()
		v.acked = max(v.acked, *message.Ack)
		v.notify()
		v.mutex.Unlock()
	}
	close(ended)
	v.mutex.Lock()
	delete(v.streams, one)
	v.mutex.Unlock()
}

// send sends what there is, and heartbeats between.
func (v *View) send(connection net.Conn, one *stream, ended <-chan struct{}) {
	for {
		v.mutex.Lock()
		wait := v.state.Lease / 3
		v.mutex.Unlock()
		if wait == 0 {
			wait = time.Second
		}
		var line any
		select {
		case <-ended:
			return
		case line = <-one.lines:
		case <-time.After(wait):
			v.mutex.Lock()
			version, next := v.state.Version, len(one.lines)
			v.mutex.Unlock()
			if next > 0 {
				continue // it must not be overtaken
			}
			line = protocol.ToSidecar{Heartbeat: &version}
		}
		text, err := protocol.Encode(line)
		if err == nil {
			_, err = connection.Write(text)
		}
		if err != nil {
			one.end()
			return
		}
	}
}
