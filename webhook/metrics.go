package webhook

import (
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/component-base/metrics"
)

// Metrics are the webhook's own. Every label has a fixed set of values: routes,
// outcomes and the ids of the rules; never the name of a tenant or an object.
type Metrics struct {
	reviews    *metrics.CounterVec
	duration   *metrics.HistogramVec
	violations *metrics.CounterVec
	malformed  *metrics.CounterVec
	panics     *metrics.Counter
}

// Registry is where metrics are registered, such as component-base's KubeRegistry.
type Registry interface {
	MustRegister(...metrics.Registerable)
}

// NewMetrics makes and registers the metrics.
func NewMetrics(registry Registry) *Metrics {
	const namespace = "bulkhead"
	m := &Metrics{
		reviews: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Name: "reviews_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of reviews by handler (mutate or validate), resource, operation and outcome (allowed, denied, exempt or error).",
		}, []string{"handler", "resource", "operation", "outcome"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: namespace, Name: "review_duration_seconds", StabilityLevel: metrics.ALPHA,
			Help:    "Duration of reviews by handler, from the request's header to the decision.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"handler"}),
		violations: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Name: "violations_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of reviews in which the rule was violated at the enforced level, by outcome: denied, or allowed where the enforcement only warns or audits.",
		}, []string{"rule", "outcome"}),
		malformed: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Name: "malformed_requests_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of requests that were no AdmissionReview, by handler.",
		}, []string{"handler"}),
		panics: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: namespace, Name: "panics_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of requests whose handler panicked; each was answered with 500.",
		}),
	}
	registry.MustRegister(m.reviews, m.duration, m.violations, m.malformed, m.panics)
	return m
}

func (m *Metrics) observe(handler string, request *admissionv1.AdmissionRequest, d decision, duration time.Duration) {
	resource, operation := resourceOf(request), string(request.Operation)
	if !known(routeOf(request)) {
		resource, operation = "other", "other"
	}
	m.reviews.WithLabelValues(handler, resource, operation, string(d.outcome)).Inc()
	m.duration.WithLabelValues(handler).Observe(duration.Seconds())
	for _, rule := range d.rules {
		m.violations.WithLabelValues(rule, string(d.outcome)).Inc()
	}
}
