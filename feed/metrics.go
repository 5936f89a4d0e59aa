package feed

import (
	"strconv"
	"time"

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
	lapses     *metrics.CounterVec
	streams    *metrics.Gauge
	perTenant  *metrics.GaugeVec
	ends       *metrics.CounterVec
	bytes      *metrics.Counter
	wait       *metrics.Histogram
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
		lapses: counter(perTenant, "firewall", "feed_lapses_total",
			"Number of times that a firewall of the tenant did not hear of its peers for longer than its lease.", "tenant"),
		ends: counter(open, "feed", "stream_ends_total",
			"Number of streams to sidecars that ended, by reason: closed (by the sidecar or the network), slow, unacknowledged, protocol, gone (the pod), age, drained or panic.", "reason"),
		reviews: counter(open, "feed", "token_reviews_total",
			"Number of tokens that the API server was asked about, by result: good, refused or error.", "result"),
		repair: metrics.NewHistogramVec(&metrics.HistogramOpts{
			Namespace: "bulkhead", Subsystem: "firewall", Name: "repair_seconds", StabilityLevel: metrics.ALPHA,
			Help:    "Time from noticing a tampering until forbidden packets were dropped again (guarded) and until the rules were as before (whole).",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"stage"}),
	}
	m.streams = metrics.NewGauge(&metrics.GaugeOpts{
		Namespace: "bulkhead", Subsystem: "feed", Name: "streams", StabilityLevel: metrics.ALPHA,
		Help: "Number of sidecars that hear of their peers from this replica.",
	})
	m.perTenant = metrics.NewGaugeVec(&metrics.GaugeOpts{
		Namespace: "bulkhead", Subsystem: "feed", Name: "tenant_streams", StabilityLevel: metrics.ALPHA,
		Help: "Number of the tenant's sidecars that hear of their peers from this replica.",
	}, []string{"tenant"})
	m.bytes = metrics.NewCounter(&metrics.CounterOpts{
		Namespace: "bulkhead", Subsystem: "feed", Name: "sent_bytes_total", StabilityLevel: metrics.ALPHA,
		Help: "Number of bytes that sidecars were told, before encryption.",
	})
	m.wait = metrics.NewHistogram(&metrics.HistogramOpts{
		Namespace: "bulkhead", Subsystem: "feed", Name: "snapshot_wait_seconds", StabilityLevel: metrics.ALPHA,
		Help:    "Time that a sidecar waited for its first snapshot: more than a moment where an address was another tenant's before.",
		Buckets: []float64{.001, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40},
	})
	open.MustRegister(m.repair, m.streams, m.bytes, m.wait)
	perTenant.MustRegister(m.perTenant)
	return m
}

func (m *Metrics) answered(code int)      { m.requests.WithLabelValues(strconv.Itoa(code)).Inc() }
func (m *Metrics) reviewed(result string) { m.reviews.WithLabelValues(result).Inc() }

func (m *Metrics) ended(reason string)    { m.ends.WithLabelValues(reason).Inc() }
func (m *Metrics) sent(bytes int)         { m.bytes.Add(float64(bytes)) }
func (m *Metrics) waited(d time.Duration) { m.wait.Observe(d.Seconds()) }

// joined counts a stream until the function that it returns is called.
func (m *Metrics) joined(tenant string) (left func()) {
	m.streams.Inc()
	m.perTenant.WithLabelValues(tenant).Inc()
	return func() {
		m.streams.Dec()
		m.perTenant.WithLabelValues(tenant).Dec()
	}
}

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
		case record.Lapse != nil:
			m.lapses.WithLabelValues(tenant).Inc()
		case record.Drops != nil:
			m.packets.WithLabelValues(tenant, string(record.Drops.Direction), record.Drops.Reason).Add(float64(record.Drops.Packets))
		}
	}
}
