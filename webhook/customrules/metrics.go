package customrules

import "k8s.io/component-base/metrics"

// Metrics tell whether the folder's rules are in use.
type Metrics struct {
	reloads *metrics.CounterVec
	refused *metrics.Gauge
	modules *metrics.Gauge
}

// Registry is where metrics are registered, such as component-base's KubeRegistry.
type Registry interface {
	MustRegister(...metrics.Registerable)
}

// NewMetrics makes and registers the metrics.
func NewMetrics(registry Registry) *Metrics {
	const namespace, subsystem = "bulkhead", "custom_rules"
	gauge := func(name, help string) *metrics.Gauge {
		return metrics.NewGauge(&metrics.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: metrics.ALPHA})
	}
	m := &Metrics{
		reloads: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "loads_total", StabilityLevel: metrics.ALPHA,
			Help: "Number of times that a changed set of custom rules was read, by result (taken or refused).",
		}, []string{"result"}),
		refused: gauge("refused", "1 while the custom rules that are there were refused and an older set is in use."),
		modules: gauge("modules", "Number of modules of custom rules in use."),
	}
	registry.MustRegister(m.reloads, m.refused, m.modules)
	return m
}

func (m *Metrics) take(modules int) {
	m.reloads.WithLabelValues("taken").Inc()
	m.refused.Set(0)
	m.modules.Set(float64(modules))
}

func (m *Metrics) refuse() {
	m.reloads.WithLabelValues("refused").Inc()
	m.refused.Set(1)
}
