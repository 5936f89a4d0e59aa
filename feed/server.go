package feed

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// EventRecorder records Events of objects. It must not block.
type EventRecorder interface {
	Event(object runtime.Object, eventType, reason, message string)
}

// MetricsPath serves the metrics that name tenants, to whoever RBAC lets get it.
const MetricsPath = "/metrics"

// Options are the parts of the server. All are needed.
type Options struct {
	// Tokens asks the API server about tokens, Access about what users may do.
	Tokens TokenReviewer
	Access AccessReviewer
	// Tenant names the tenant that owns a namespace; empty: nobody does.
	Tenant func(namespace string) string
	// Events takes Events of pods.
	Events EventRecorder
	// Metrics count what is reported; TenantMetrics serves those that name tenants.
	Metrics       *Metrics
	TenantMetrics http.Handler
	// Peers knows who belongs to whom, for streams; nil: there are none. Lease is what
	// it was made with.
	Peers *peers.Store
	Lease time.Duration
}

const (
	// requestTimeout bounds a request, from header to answer.
	requestTimeout = 10 * time.Second
	// maxInFlight and maxPerClient bound the requests under way to one path, of all
	// clients and of one address, maxPerTenant the reports of a tenant's pods: an answer
	// takes milliseconds, so only who stalls has many.
	maxInFlight  = 512
	maxPerTenant = maxInFlight / 4
	maxPerClient = 16
	// maxOpening is maxInFlight for streams. Who asks for one sends nothing that could
	// be stalled, and waits for nothing but its turn to have its token checked.
	maxOpening = 2 * maxWaiting
)

// Handler serves the feed.
type Handler struct {
	http.Handler
	streams     *streams // nil: none
	connections *rates
}

// Welcome tells whether an IP address may open one more connection now (threat A10).
func (h *Handler) Welcome(address string) bool { return h.connections.allow(address) }

// Drain has the streams end, spread over the time, so that not all come to another
// replica at once, and lets none begin.
func (h *Handler) Drain(over time.Duration) {
	if h.streams != nil {
		h.streams.Drain(over)
	}
}

// NewHandler makes a Handler.
func NewHandler(o Options) *Handler {
	s := &server{
		tokens:  newAuthenticator(o.Tokens, o.Metrics, o.whose),
		tenant:  o.Tenant,
		events:  o.Events,
		metrics: o.Metrics,
		pods:    newRates(podRate, podBurst),
	}
	mux := http.NewServeMux()
	// Each path has places of its own: who stalls reports keeps nobody from its peers.
	handle := func(pattern string, most int, handler http.Handler) {
		mux.Handle(pattern, newPlaces(most, maxPerClient).limit(handler))
	}
	handle("POST "+protocol.ReportPath, maxInFlight, s.authenticated(perTenant(s.report)))
	handle("GET "+MetricsPath, maxInFlight, &guarded{MetricsPath, s.tokens, o.Access, o.TenantMetrics})
	h := &Handler{connections: newRates(connectionRate, connectionBurst)}
	if o.Peers != nil {
		h.streams = &streams{store: o.Peers, lease: o.Lease, metrics: o.Metrics, patience: usualPatience(),
			places: newPlaces(maxStreams, maxStreamsPerTenant), leave: make(chan struct{})}
		handle("GET "+protocol.PeersPath, maxOpening, s.authenticated(h.streams.open))
		handle("GET "+protocol.ConnectedPath, maxInFlight, &guarded{protocol.ConnectedPath, s.tokens, o.Access, connected(o.Peers)})
	}
	h.Handler = observed(recovered(withDeadlines(mux)), o.Metrics)
	return h
}

// connected tells how many pods of each tenant hear of their peers from here.
func connected(store *peers.Store) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(protocol.Connected{Tenants: store.Connected()}); err != nil {
			klog.V(4).InfoS("Cannot tell how many are connected", "err", err)
		}
	})
}

type server struct {
	tokens  *authenticator
	tenant  func(namespace string) string
	events  EventRecorder
	metrics *Metrics
	pods    *rates
}

// sender is whose word a request is.
type sender struct {
	Pod
	tenant string
}

// whose names who has an address, so that a tenant of many pods keeps no other waiting:
// it is believed in nothing else.
func (o *Options) whose(address string) string {
	if o.Peers == nil {
		return address
	}
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	if tenant := o.Peers.Holder(ip.Unmap()); tenant != "" {
		return "tenant " + tenant
	}
	return address
}

type handlerOf func(http.ResponseWriter, *http.Request, sender)

// authenticated lets pods of tenants pass, at a pod's rate.
func (s *server) authenticated(next handlerOf) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pod, refusal := s.tokens.authenticate(r)
		if refusal != nil {
			refuse(w, refusal.code, refusal.text)
			return
		}
		tenant := s.tenant(pod.Namespace)
		if tenant == "" {
			refuse(w, http.StatusForbidden, "the pod's namespace has no tenant")
			return
		}
		if !s.pods.allow(pod.UID) {
			refuse(w, http.StatusTooManyRequests, "too many requests from this pod")
			return
		}
		next(w, r, sender{*pod, tenant})
	})
}

// perTenant lets so many of a tenant's pass at once.
func perTenant(next handlerOf) handlerOf {
	tenants := newPlaces(maxInFlight, maxPerTenant)
	return func(w http.ResponseWriter, r *http.Request, from sender) {
		if !tenants.begin(from.tenant) {
			refuse(w, http.StatusTooManyRequests, "too many requests of this tenant's are under way")
			return
		}
		defer tenants.end(from.tenant)
		next(w, r, from)
	}
}

// withDeadlines ends a request whose client stalls.
func withDeadlines(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		deadline := time.Now().Add(requestTimeout)
		controller := http.NewResponseController(w)
		if err := controller.SetReadDeadline(deadline); err != nil {
			klog.ErrorS(err, "Cannot bound the reading of a request")
		}
		if err := controller.SetWriteDeadline(deadline.Add(requestTimeout)); err != nil {
			klog.ErrorS(err, "Cannot bound the writing of an answer")
		}
		next.ServeHTTP(w, r)
	})
}

func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if reason := recover(); reason != nil {
				klog.ErrorS(nil, "Handler of the feed panicked", "panic", reason, "stack", string(debug.Stack()))
				refuse(w, http.StatusInternalServerError, "internal error")
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// observed counts answers by their code.
func observed(next http.Handler, metrics *Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &codeRecorder{ResponseWriter: w, code: http.StatusOK}
		next.ServeHTTP(recorder, r)
		metrics.answered(recorder.code)
	})
}

type codeRecorder struct {
	http.ResponseWriter
	code int
}

func (r *codeRecorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Hijack is an answer too.
func (r *codeRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	connection, buffered, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.code = http.StatusSwitchingProtocols
	}
	return connection, buffered, err
}

// Unwrap lets http.ResponseController find the connection.
func (r *codeRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// refuse ends the connection too: else the answer would wait for the rest of a body
// that may never come. Who is told when to come again need not be told so here.
func refuse(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Connection", "close")
	if busy := code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable; busy && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, text, code)
}
