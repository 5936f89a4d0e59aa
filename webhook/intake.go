package webhook

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/klog/v2"
)

const (
	// bodyTimeout bounds the arrival of a body. An API server sends it at once.
	bodyTimeout = 3 * time.Second
	// bodiesPerClient bounds the bodies that one address sends at a time.
	bodiesPerClient = 128
	// smallBody is enough for nearly every review, mediumBody for a pod of hundreds of
	// containers; more is large.
	smallBody, mediumBody = 32 << 10, 256 << 10
	// reservedBody is what is reserved for a body at once.
	reservedBody = 16 << 10
	// smallBodies and mediumBodies bound the bytes of such bodies in work, largeBodies the
	// number of large ones. Work takes about twenty times a body's size in memory.
	smallBodies, mediumBodies = 6 << 20, 2 << 20
	largeBodies               = 2
)

// memory is what all reviews together may take. Those of each size have their own: who
// sends pods of a thousand containers without end, which take a second to judge, keeps
// nobody waiting but others who do.
type memory struct {
	small, medium, large *semaphore.Weighted
}

func newMemory() memory {
	return memory{semaphore.NewWeighted(smallBodies), semaphore.NewWeighted(mediumBodies), semaphore.NewWeighted(largeBodies)}
}

// pool is where a body takes its weight; its length may be unknown.
func (m memory) pool(length int64) (pool *semaphore.Weighted, weight int64) {
	switch {
	case length < 0 || length > mediumBody:
		return m.large, 1
	case length > smallBody:
		return m.medium, length
	default:
		return m.small, length
	}
}

// intake receives a review's body before the review takes a place among those in
// flight, so that clients who send slowly take none from the API server, and bounds
// the memory that reviews take (threat A1). The next handler finds the whole body.
type intake struct {
	name    string
	next    http.Handler
	metrics *Metrics
	memory  memory

	mutex   sync.Mutex
	sending map[string]int // bodies under way by the client's IP address
}

func (i *intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refusal := checkHead(w, r)
	if refusal != nil {
		refusal.write(w, r, i.name, i.metrics)
		return
	}
	pool, weight := i.memory.pool(r.ContentLength)
	if pool == i.memory.large {
		if err := pool.Acquire(r.Context(), weight); err != nil {
			overloaded().write(w, r, i.name, i.metrics)
			return
		}
		defer pool.Release(weight)
	}
	body, refusal := i.receive(w, r)
	if refusal != nil {
		refusal.write(w, r, i.name, i.metrics)
		return
	}
	if pool != i.memory.large {
		if err := pool.Acquire(r.Context(), weight); err != nil {
			overloaded().write(w, r, i.name, i.metrics)
			return
		}
		defer pool.Release(weight)
	}
	r.Body = received{bytes.NewReader(body), body}
	i.next.ServeHTTP(w, r)
}

// received is a body that has arrived.
type received struct {
	io.Reader
	whole []byte
}

func (received) Close() error { return nil }

// wholeBody reads a body, or takes it as an intake received it.
func wholeBody(body io.Reader) ([]byte, error) {
	if arrived, ok := body.(received); ok {
		return arrived.whole, nil
	}
	return io.ReadAll(body)
}

// receive reads the body as it comes; what the client declares reserves next to nothing.
func (i *intake) receive(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "client address %q: %v", r.RemoteAddr, err)
	}
	if !i.begin(client) {
		w.Header().Set("Retry-After", "1")
		return nil, refuse(http.StatusTooManyRequests, "%d bodies are under way from %s", bodiesPerClient, client)
	}
	defer i.end(client)
	if err := http.NewResponseController(w).SetReadDeadline(earlier(r, time.Now().Add(bodyTimeout))); err != nil {
		klog.ErrorS(err, "Cannot bound the reading of a body")
	}
	var body bytes.Buffer
	body.Grow(int(min(max(r.ContentLength, 0), reservedBody)) + bytes.MinRead)
	_, err = io.Copy(&body, http.MaxBytesReader(w, r.Body, maxBody))
	var sizeErr *http.MaxBytesError
	switch {
	case errors.As(err, &sizeErr):
		return nil, tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refuse(http.StatusRequestTimeout, "the body did not arrive in time")
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "read body: %v", err)
	}
	return body.Bytes(), nil
}

// earlier is the request's own deadline, or the given one if that is sooner.
func earlier(r *http.Request, deadline time.Time) time.Time {
	if own, ok := r.Context().Deadline(); ok && own.Before(deadline) {
		return own
	}
	return deadline
}

func (i *intake) begin(client string) bool {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.sending[client] >= bodiesPerClient {
		return false
	}
	i.sending[client]++
	return true
}

func (i *intake) end(client string) {
	i.mutex.Lock()
	defer i.mutex.Unlock()
	if i.sending[client]--; i.sending[client] == 0 {
		delete(i.sending, client)
	}
}

func overloaded() *refusal {
	return refuse(http.StatusServiceUnavailable, "other reviews take all the memory that there is for them")
}
