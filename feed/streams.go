package feed

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// maxStreams of all pods, and of one tenant's.
const (
	maxStreams          = 20000
	maxStreamsPerTenant = maxStreams / 2
)

// patience is how long is waited for a pod.
type patience struct {
	// hello is for the first line, write for what it is told to be read, ack for it to
	// be applied.
	hello, write, ack time.Duration
	// age is that of a stream, of which up to a quarter is taken off by chance: so what
	// nobody foresaw ends, and replicas come to have their share.
	age time.Duration
}

func usualPatience() patience {
	return patience{hello: 5 * time.Second, write: 5 * time.Second, ack: 5 * time.Second, age: time.Hour}
}

// streams are the connections by which sidecars hear who their peers are.
type streams struct {
	store   *peers.Store
	lease   time.Duration
	metrics *Metrics
	patience
	places *places // by tenant
	drain  atomic.Pointer[time.Duration]
	leave  chan struct{} // closed when drain is set
}

// open changes the protocol of a request of a pod's, and goes on by itself.
func (s *streams) open(w http.ResponseWriter, r *http.Request, from sender) {
	if !strings.EqualFold(r.Header.Get("Connection"), "upgrade") || r.Header.Get("Upgrade") != protocol.Upgrade {
		w.Header().Set("Upgrade", protocol.Upgrade)
		refuse(w, http.StatusUpgradeRequired, "this path speaks "+protocol.Upgrade)
		return
	}
	ref := from.ref()
	switch err := s.store.Admits(ref); {
	case errors.Is(err, peers.ErrNotReady), s.drain.Load() != nil:
		w.Header().Set("Retry-After", "0") // another replica may, and this one soon
		refuse(w, http.StatusServiceUnavailable, "this replica does not serve streams now")
		return
	case err != nil:
		refuse(w, http.StatusForbidden, err.Error())
		return
	}
	if !s.places.begin(from.tenant) {
		refuse(w, http.StatusServiceUnavailable, "too many streams")
		return
	}
	connection, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.places.end(from.tenant)
		klog.ErrorS(err, "Cannot take over a connection")
		refuse(w, http.StatusInternalServerError, "internal error")
		return
	}
	reader, err := small(connection, buffered.Reader)
	go func() {
		defer s.places.end(from.tenant)
		if err != nil {
			_ = connection.Close()
			return
		}
		one := &stream{streams: s, connection: connection, reader: reader, pod: ref, ends: s.ends(from.Expires)}
		err := guardedRun(one.run)
		_ = connection.Close() // whatever it was, the sidecar comes again
		s.metrics.ended(reasonOf(err))
		klog.V(4).InfoS("Stream ended", "pod", klog.KRef(ref.Namespace, ref.Name), "reason", err)
	}()
}

// small replaces a reader that keeps alive what the request needed: there are many
// streams, and little is said on them.
func small(connection net.Conn, reader *bufio.Reader) (*bufio.Reader, error) {
	early, err := io.ReadAll(io.LimitReader(reader, int64(reader.Buffered())))
	if err != nil {
		return nil, fmt.Errorf("read what has come: %w", err)
	}
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), connection), 512), nil
}

// guardedRun makes an end of a panic: no pod may end the server.
func guardedRun(run func() error) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			klog.ErrorS(nil, "A stream panicked", "panic", reason, "stack", string(debug.Stack()))
			err = &endError{"panic", "internal error"}
		}
	}()
	return run()
}

// ends is when a stream ends anyway: with the token, or of age.
func (p patience) ends(expires time.Time) time.Time {
	if end := time.Now().Add(p.age - rand.N(p.age/4)); expires.IsZero() || end.Before(expires) {
		return end
	}
	return expires
}

// Drain has the streams end, spread over the time, and lets none begin.
func (s *streams) Drain(over time.Duration) {
	if s.drain.CompareAndSwap(nil, &over) {
		close(s.leave)
	}
}
