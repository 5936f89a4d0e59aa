package charts

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/component-base/metrics"
	"sigs.k8s.io/yaml"

	"github.com/bulkhead-dev/bulkhead/feed"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/customrules"
)

// registered collects the names of metrics.
type registered []string

func (r *registered) MustRegister(all ...metrics.Registerable) {
	for _, metric := range all {
		*r = append(*r, metric.FQName())
	}
}

// TestMonitoringNamesWhatThereIs: alerts and dashboard ask for metrics that exist,
// and are there when they are wanted.
func TestMonitoringNamesWhatThereIs(t *testing.T) {
	// The gauges of cmd/bulkhead-webhook.
	known := registered{"bulkhead_certificate_expiry_timestamp_seconds", "bulkhead_tenants", "bulkhead_tenants_with_problems"}
	webhook.NewMetrics(&known)
	feed.NewMetrics(&known, &known)
	customrules.NewMetrics(&known)

	off := template(t, "")
	for name, test := range map[string]struct {
		values, show string
		least        int
		parse        func(t *testing.T, rendered string)
	}{
		"alerts": {"prometheusRule: {enabled: true, labels: {release: prometheus}}", "prometheusrule.yaml", 5, func(t *testing.T, rendered string) {
			var rule struct {
				Kind     string
				Metadata struct{ Labels map[string]string }
				Spec     struct {
					Groups []struct {
						Rules []struct {
							Alert, Expr string
							Labels      map[string]string
							Annotations map[string]string
						}
					}
				}
			}
			if err := yaml.Unmarshal([]byte(rendered), &rule); err != nil {
				t.Fatal(err)
			}
			if rule.Metadata.Labels["release"] != "prometheus" || len(rule.Spec.Groups) != 1 {
				t.Errorf("%+v", rule)
			}
			for _, alert := range rule.Spec.Groups[0].Rules {
				if alert.Alert == "" || alert.Expr == "" || alert.Labels["severity"] == "" || alert.Annotations["summary"] == "" {
					t.Errorf("incomplete: %+v", alert)
				}
			}
		}},
		"dashboard": {"dashboard: {enabled: true}", "dashboard.yaml", 10, func(t *testing.T, rendered string) {
			var configMap struct {
				Metadata struct{ Labels map[string]string }
				Data     map[string]string
			}
			if err := yaml.Unmarshal([]byte(rendered), &configMap); err != nil {
				t.Fatal(err)
			}
			if !json.Valid([]byte(configMap.Data["bulkhead.json"])) || configMap.Metadata.Labels["grafana_dashboard"] != "1" {
				t.Error("not what Grafana reads")
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(off, "templates/"+test.show) {
				t.Error("rendered without being asked for")
			}
			rendered, stderr, err := helm(t, test.values, "template", releaseName, "bulkhead", "--show-only", "templates/"+test.show)
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			test.parse(t, rendered)
			asked := map[string]bool{}
			for _, name := range regexp.MustCompile(`\bbulkhead_[a-z_]+`).FindAllString(rendered, -1) {
				name = strings.TrimSuffix(name, "_bucket")
				asked[name] = true
				if !slices.Contains(known, name) {
					t.Errorf("nothing is called %s", name)
				}
			}
			if len(asked) < test.least {
				t.Errorf("asks for %d metrics only", len(asked))
			}
		})
	}
}
