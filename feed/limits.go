package feed

import (
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// podRate of requests, a second, and podBurst of them at once. A sidecar sends
	// one a second at most.
	podRate  = 2
	podBurst = 10
	// connectionRate, a second, and connectionBurst bound the connections of one address.
	// A handshake takes a third of a millisecond of the processors that reviews wait for,
	// and behind the address of a node there may be a hundred sidecars.
	connectionRate  = 16
	connectionBurst = 64
	// maxRates bounds the limiters that are kept; who has not come longest begins
	// anew.
	maxRates = 16384
	rateLife = 10 * time.Minute
)

// places bounds what is under way: in all, and for one client, which may be an IP address
// or a tenant.
type places struct {
	all       chan struct{}
	perClient int

	mutex   sync.Mutex
	clients map[string]int
}

func newPlaces(all, perClient int) *places {
	return &places{all: make(chan struct{}, all), perClient: perClient, clients: map[string]int{}}
}

// limit bounds requests by IP address.
func (p *places) limit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client := clientOf(r)
		if !p.begin(client) {
			refuse(w, http.StatusTooManyRequests, "too many requests are under way")
			return
		}
		defer p.end(client)
		next.ServeHTTP(w, r)
	})
}

func (p *places) begin(client string) bool {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.clients[client] >= p.perClient {
		return false
	}
	select {
	case p.all <- struct{}{}:
		p.clients[client]++
		return true
	default:
		return false
	}
}

func (p *places) end(client string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	<-p.all
	if p.clients[client]--; p.clients[client] == 0 {
		delete(p.clients, client)
	}
}

func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr // all such clients are one
	}
	return host
}

// rates are limits by key.
type rates struct {
	limit float32 // a second
	burst int

	mutex    sync.Mutex
	limiters *cache.LRUExpireCache
}

func newRates(limit float32, burst int) *rates {
	return &rates{limit: limit, burst: burst, limiters: cache.NewLRUExpireCache(maxRates)}
}

func (r *rates) allow(key string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	limiter := flowcontrol.NewTokenBucketRateLimiter(r.limit, r.burst)
	if kept, ok := r.limiters.Get(key); ok {
		limiter = kept.(flowcontrol.RateLimiter)
	}
	r.limiters.Add(key, limiter, rateLife)
	return limiter.TryAccept()
}
