package feed

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// Metrics name tenants, so they are not for tenants.
func TestWhoMayScrape(t *testing.T) {
	for name, test := range map[string]struct {
		token  string
		change func(*bench)
		code   int
		text   string
	}{
		"Prometheus":         {"scraper", func(*bench) {}, http.StatusOK, `bulkhead_firewall_tamperings_total{kind="jump",tenant="alice"} 1`},
		"no token":           {"", func(*bench) {}, http.StatusUnauthorized, "bearer token"},
		"forged":             {"forged", func(*bench) {}, http.StatusUnauthorized, "not good"},
		"a sidecar":          {webToken, func(*bench) {}, http.StatusUnauthorized, "not good"},
		"a tenant":           {"tenant", func(*bench) {}, http.StatusForbidden, "nonResourceURL /metrics"},
		"no tokens reviewed": {"scraper", func(b *bench) { b.api.down = true }, http.StatusServiceUnavailable, "token cannot be checked"},
		"no access reviewed": {"scraper", func(b *bench) { b.access.down = true }, http.StatusServiceUnavailable, "access cannot be checked"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.api.users = map[string]authenticationv1.TokenReviewStatus{
				"scraper": {Authenticated: true, User: authenticationv1.UserInfo{Username: "prometheus"}},
				"tenant":  {Authenticated: true, User: authenticationv1.UserInfo{Username: "system:serviceaccount:alice:default"}},
			}
			check(t, b.post(webToken, address, tampering), http.StatusNoContent, "")
			test.change(b)
			check(t, b.scrape(test.token), test.code, test.text)
		})
	}
}

func TestFloodOfScrapes(t *testing.T) {
	b := newBench(t)
	for i := range 10 * reviewBurst {
		b.scrape(fmt.Sprint("forged-", i))
	}
	if b.api.asked > 2*reviewBurst {
		t.Errorf("the API server was asked %d times", b.api.asked)
	}
}

func (b *bench) scrape(token string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, MetricsPath, nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer := httptest.NewRecorder()
	b.handler.ServeHTTP(answer, request)
	return answer
}
