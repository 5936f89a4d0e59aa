package webhook

import (
	"strconv"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/component-base/metrics"
)

// Metrics are the webhook's own. Every label has a fixed set of values: routes,
// decisions and the ids of the rules; never the name of a tenant or an object.
type Metrics struct {
	decisions  *metrics.CounterVec
	exemptions *metrics.CounterVec
	errors     *metrics.CounterVec
	duration   *metrics.HistogramVec
	violations *metrics.CounterVec
	malformed  *metrics.CounterVec
	panics     *metrics.Counter
	lookups    *metrics.CounterVec
	unlogged   *metrics.Counter
}

// Registry is where metrics are registered, such as component-base's KubeRegistry.
type Registry interface {
	MustRegister(...metrics.Registerable)
}

// NewMetrics makes and registers the metrics.
func NewMetrics(registry Registry) *Metrics {
	const namespace, subsystem = "bulkhead", "admission"
	counter := func(name, help string) *metrics.CounterOpts {
		return &metrics.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA}
	}
	m := &Metrics{
		decisions: metrics.NewCounterVec(counter("decisions_total",
			"Number of reviews decided by handler (mutate or validate), resource, operation, decision (allow or deny) and whether it was a dry run."),
			[]string{"handler", "resource", "operation", "decision", "dry_run"}),
		exemptions: metrics.NewCounterVec(counter("exemptions_total",
			"Number of reviews admitted unseen by handler, resource, operation and what exempts (namespace, user or runtimeClass)."),
			[]string{"handler", "resource", "operation", "reason"}),
		errors: metrics.NewCounterVec(counter("errors_total",
			"Number of reviews denied because something failed, here or in the request, by handler, resource and operation."),
			[]string{"handler", "resource", "operation"}),
		duration: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "duration_seconds", StabilityLevel: metrics.ALPHA,
			Help:    "Duration of reviews by handler, from the whole body to the decision.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"handler"}),
		violations: metrics.NewCounterVec(counter("violations_total",
			"Number of reviews, dry runs aside, in which the rule was violated at the enforced level, by decision: deny, or allow where the enforcement only warns or audits."),
			[]string{"rule", "decision"}),
		malformed: metrics.NewCounterVec(counter("malformed_requests_total",
			"Number of requests that were no AdmissionReview, by handler."),
			[]string{"handler"}),
		panics: metrics.NewCounter(counter("panics_total",
			"Number of requests whose handler panicked; each was answered with 500.")),
		lookups: metrics.NewCounterVec(counter("remembered_decisions_total",
			"Number of reviews of new pods by whether the decision was remembered from another pod of the same form (hit) or made (miss)."),
			[]string{"result"}),
		unlogged: metrics.NewCounter(counter("unlogged_decisions_total",
			"Number of decisions that could not be written to the decision log.")),
	}
	registry.MustRegister(m.decisions, m.exemptions, m.errors, m.duration, m.violations, m.malformed, m.panics, m.lookups, m.unlogged)
	return m
}

func (m *Metrics) observe(handler string, request *admissionv1.AdmissionRequest, d decision, duration time.Duration) {
	resource, operation := resourceOf(request), string(request.Operation)
	if !known(routeOf(request)) {
		resource, operation = "other", "other"
	}
	m.duration.WithLabelValues(handler).Observe(duration.Seconds())
	if d.lookup != "" {
		m.lookups.WithLabelValues(string(d.lookup)).Inc()
	}
	switch d.outcome {
	case outcomeExempt:
		m.exemptions.WithLabelValues(handler, resource, operation, d.annotations["exempt"]).Inc()
	case outcomeAllowed, outcomeDenied:
		m.decisions.WithLabelValues(handler, resource, operation, d.verb(), strconv.FormatBool(isDryRun(request))).Inc()
	default:
		m.errors.WithLabelValues(handler, resource, operation).Inc()
	}
	if isDryRun(request) {
		return
	}
	for _, rule := range d.rules {
		m.violations.WithLabelValues(rule, d.verb()).Inc()
	}
}

func isDryRun(request *admissionv1.AdmissionRequest) bool {
	return request.DryRun != nil && *request.DryRun
}
