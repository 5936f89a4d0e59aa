package feed

import (
	"strconv"

	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// Metrics are what sidecars report, and how the feed fares. Tenants are the only
// label that is not of a fixed set; they are the administrators' to name.
type Metrics struct {
	packets    *metrics.CounterVec
	tamperings *metrics.CounterVec
	repair     *metrics.HistogramVec
	failures   *metrics.CounterVec
	lost       *metrics.CounterVec
	requests   *metrics.CounterVec
	reviews    *metrics.CounterVec
}

// Registry is where metrics are registered, such as component-base's KubeRegistry.
type Registry interface {
	MustRegister(...metrics.Registerable)
}

// NewMetrics makes the metrics. What names tenants is registered apart.
func NewMetrics(open, perTenant Registry) *Metrics {
	counter := func(registry Registry, subsystem, name, help string, labels ...string) *metrics.CounterVec {
		vec := metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "bulkhead", Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, labels)
		registry.MustRegister(vec)
		return vec
	}
	m := &Metrics{
		packets: counter(perTenant, "firewall", "dropped_packets_total",
			"Number of packets that the tenant's firewalls dropped, by direction (in, out or forward) and reason (the threat's id, or the egress setting).", "tenant", "direction", "reason"),
		tamperings: counter(perTenant, "firewall", "tamperings_total",
			"Number of changes of the tenant's firewalls by somebody else, each repaired, by the first thing that differed.", "tenant", "kind"),
		failures: counter(perTenant, "firewall", "failures_total",
			"Number of times that a firewall of the tenant could not be brought into force or repaired.", "tenant"),
		lost: counter(perTenant, "firewall", "lost_records_total",
			"Number of records that the tenant's sidecars could not keep until they were reported.", "tenant"),
		requests: counter(open, "feed", "requests_total",
			"Number of requests to the feed by the answer's code.", "code"),
		reviews: counter(open, "feed", "token_reviews_total",
			"Number of tokens that the API server was asked about, by result: good, refused or error.", "result"),
		repair: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: "bulkhead", Subsystem: "firewall", Name: "repair_seconds", StabilityLevel: metrics.ALPHA,
			Help:    "Time from noticing a tampering until forbidden packets were dropped again (guarded) and until the rules were as before (whole).",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"stage"}),
	}
	open.MustRegister(m.repair)
	return m
}

func (m *Metrics) answered(code int)      { m.requests.WithLabelValues(strconv.Itoa(code)).Inc() }
func (m *Metrics) reviewed(result string) { m.reviews.WithLabelValues(result).Inc() }

// observe counts a valid report.
func (m *Metrics) observe(tenant string, report *protocol.Report) {
	if report.Lost > 0 {
		m.lost.WithLabelValues(tenant).Add(float64(min(report.Lost, protocol.MaxCount)))
	}
	for _, record := range report.Records {
		switch {
		case record.Tampering != nil:
			m.tamperings.WithLabelValues(tenant, string(record.Tampering.Kind.Known())).Inc()
			if guarded := record.Tampering.Guarded; guarded > 0 {
				m.repair.WithLabelValues("guarded").Observe(guarded.Seconds())
			}
			m.repair.WithLabelValues("whole").Observe(record.Tampering.Whole.Seconds())
		case record.Failure != nil:
			m.failures.WithLabelValues(tenant).Inc()
		case record.Drops != nil:
			m.packets.WithLabelValues(tenant, string(record.Drops.Direction), record.Drops.Reason).Add(float64(record.Drops.Packets))
		}
	}
}
