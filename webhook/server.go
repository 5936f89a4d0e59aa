package webhook

import (
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	endpointfilters "k8s.io/apiserver/pkg/endpoints/filters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
)

// The paths that are served.
const (
	MutatePath   = "/mutate"
	ValidatePath = "/validate"
	MetricsPath  = "/metrics"
)

// Options are the parts of the handler. All are needed where nothing else is said.
type Options struct {
	Admission *Admission
	Metrics   *Metrics
	// DecisionLog and Events may be nil.
	DecisionLog *DecisionLog
	Events      EventRecorder
	// MetricsHandler serves MetricsPath.
	MetricsHandler http.Handler
	// Live and Ready are what /livez and /readyz check.
	Live, Ready []healthz.HealthChecker
	// MaxInFlight bounds the reviews at a time; more are told to come again.
	MaxInFlight int
	// RequestTimeout bounds a request, from header to answer. The API server asks
	// for less by the parameter timeout.
	RequestTimeout time.Duration
	// ClientCertificates authenticates who sends reviews; nil: anybody may.
	ClientCertificates authenticator.Request
}

// NewHandler serves reviews, health and metrics.
func NewHandler(o Options) http.Handler {
	mux, memory := http.NewServeMux(), newMemory()
	mux.Handle(MutatePath, o.reviews("mutate", o.Admission.Mutate, memory))
	mux.Handle(ValidatePath, o.reviews("validate", o.Admission.Validate, memory))
	mux.Handle(MetricsPath, o.MetricsHandler)
	healthz.InstallLivezHandler(mux, o.Live...)
	healthz.InstallReadyzHandler(mux, o.Ready...)
	return withPanicRecovery(withDeadlines(mux, o.RequestTimeout), o.Metrics)
}

// reviews puts the API server's filters, and ours, before a handler of
// AdmissionReviews: deadline, client certificate, intake, number in flight.
func (o Options) reviews(name string, decide decideFunc, memory memory) http.Handler {
	var handler http.Handler = &reviewHandler{name, decide, o.Metrics, o.DecisionLog, o.Events}
	handler = genericfilters.WithMaxInFlightLimit(handler, 0, o.MaxInFlight, nil)
	handler = &intake{name: name, next: handler, metrics: o.Metrics, memory: memory, sending: map[string]int{}}
	if o.ClientCertificates != nil {
		handler = withClientCertificate(handler, o.ClientCertificates)
	}
	notLongRunning := func(*http.Request, *apirequest.RequestInfo) bool { return false }
	codecs := serializer.NewCodecFactory(runtime.NewScheme())
	handler = endpointfilters.WithRequestDeadline(handler, nil, nil, notLongRunning, codecs, o.RequestTimeout)
	return endpointfilters.WithRequestInfo(handler, &apirequest.RequestInfoFactory{APIPrefixes: sets.NewString()})
}
