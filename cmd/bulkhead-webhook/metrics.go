package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/bulkhead-dev/bulkhead/certs"
)

// metricsHandler serves our own metrics and those that Kubernetes' libraries, the
// Go runtime and the process keep in component-base's global registry.
func metricsHandler(registry metrics.KubeRegistry) http.Handler {
	return metrics.HandlerFor(prometheus.Gatherers{registry, legacyregistry.DefaultGatherer}, metrics.HandlerOpts{})
}

// registerGauges adds what is read when it is asked for.
func registerGauges(registry metrics.KubeRegistry, pair *certs.Pair, source *source) {
	gauge := func(name, help string, value func() float64) {
		registry.RawMustRegister(metrics.NewGaugeFunc(&metrics.GaugeOpts{
			Namespace: "bulkhead", Name: name, Help: help, StabilityLevel: metrics.ALPHA,
		}, value))
	}
	gauge("certificate_expiry_timestamp_seconds", "End of the life of the serving certificate in use, as Unix time.",
		func() float64 { return float64(pair.Expiry().Unix()) })
	gauge("tenants", "Number of Tenants.",
		func() float64 { return float64(len(source.Index().Tenants())) })
	gauge("tenants_with_problems", "Number of Tenants whose pods cannot be admitted.", func() float64 {
		count := 0
		for _, t := range source.Index().Tenants() {
			if len(t.Problems) > 0 {
				count++
			}
		}
		return float64(count)
	})
}
