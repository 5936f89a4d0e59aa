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
	// smallBody is enough for nearly every review; more is large.
	smallBody = 256 << 10
	// reservedBody is what is reserved for a body at once.
	reservedBody = 16 << 10
	// smallBodies bounds the bytes of small bodies in work, largeBodies the number of
	// large ones. Work takes about twenty times a body's size in memory.
	smallBodies = 8 << 20
	largeBodies = 2
)

// memory is what all reviews together may take.
type memory struct {
	small, large *semaphore.Weighted
}

func newMemory() memory {
	return memory{semaphore.NewWeighted(smallBodies), semaphore.NewWeighted(largeBodies)}
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
	pool, weight := i.memory.small, r.ContentLength
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		pool, weight = i.memory.large, 1
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
	if pool == i.memory.small {
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
