package feed

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const nothing = `{"records":[]}`

// Whoever is not a pod of a tenant is refused (threat A2).
func TestWhoIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		token  string
		change func(*authenticationv1.TokenReviewStatus)
		code   int
		text   string
	}{
		"a tenant's pod":                         {"token", func(*authenticationv1.TokenReviewStatus) {}, http.StatusNoContent, ""},
		"no token":                               {"", nil, http.StatusUnauthorized, "bearer token"},
		"endless token":                          {strings.Repeat("x", maxToken+1), nil, http.StatusUnauthorized, "bearer token"},
		"forged, expired":                        {"token", func(s *authenticationv1.TokenReviewStatus) { *s = authenticationv1.TokenReviewStatus{Error: "expired"} }, http.StatusUnauthorized, "not good"},
		"but the user set":                       {"token", func(s *authenticationv1.TokenReviewStatus) { s.Authenticated = false }, http.StatusUnauthorized, "not good"},
		"other audience":                         {"token", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = []string{"https://kubernetes.default.svc"} }, http.StatusUnauthorized, "not good"},
		"audiences unknown to the authenticator": {"token", func(s *authenticationv1.TokenReviewStatus) { s.Audiences = nil }, http.StatusUnauthorized, "not good"},
		"a person":                               {"token", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "mallory" }, http.StatusUnauthorized, "no service account"},
		"a node":                                 {"token", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:node:one" }, http.StatusUnauthorized, "no service account"},
		"not bound":                              {"token", func(s *authenticationv1.TokenReviewStatus) { s.User.Extra = nil }, http.StatusUnauthorized, "not bound to a pod"},
		"bound to a Secret or Node": {"token", func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra = map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/node-name": {"web"}, "authentication.kubernetes.io/node-uid": {"1"}}
		}, http.StatusUnauthorized, "not bound to a pod"},
		"bound to two": {"token", func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra["authentication.kubernetes.io/pod-uid"] = authenticationv1.ExtraValue{"1", "2"}
		}, http.StatusUnauthorized, "not bound to a pod"},
		"bound to nobody": {"token", func(s *authenticationv1.TokenReviewStatus) {
			s.User.Extra["authentication.kubernetes.io/pod-name"] = authenticationv1.ExtraValue{""}
		}, http.StatusUnauthorized, "not bound to a pod"},
		"no tenant": {"token", func(s *authenticationv1.TokenReviewStatus) { s.User.Username = "system:serviceaccount:default:default" }, http.StatusForbidden, "no tenant"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			if test.change != nil {
				status := vouched("alice", "web")
				test.change(&status)
				b.api.tokens[test.token] = status
			}
			check(t, b.post(test.token, address, tampering), test.code, test.text)
			if taken := len(b.events.all) == 1; taken != (test.code == http.StatusNoContent) {
				t.Errorf("events %q", b.events.all)
			}
		})
	}
}

func TestOtherSchemesAreNoTokens(t *testing.T) {
	for _, header := range []string{"Basic " + webToken, webToken, "Bearer", "bearer " + webToken} {
		b := newBench(t)
		request := httptest.NewRequest(http.MethodPost, protocol.ReportPath, strings.NewReader(nothing))
		request.Header.Set("Authorization", header)
		answer := httptest.NewRecorder()
		b.handler.ServeHTTP(answer, request)
		check(t, answer, http.StatusUnauthorized, "bearer token")
	}
}

// What the API server has said is remembered for a while, and no longer than the
// token lives.
func TestReviewsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &apiServer{tokens: map[string]authenticationv1.TokenReviewStatus{}}
		a := newAuthenticator(api, NewMetrics(metrics.NewKubeRegistry(), metrics.NewKubeRegistry()), func(address string) string { return address })
		long, short := jwt("long", time.Now().Add(time.Hour)), jwt("short", time.Now().Add(15*time.Second))
		for _, token := range []string{long, short, "opaque"} {
			api.tokens[token] = vouched("alice", "web")
		}
		ask := func(token string, good bool, asked int) {
			t.Helper()
			request := httptest.NewRequest(http.MethodPost, protocol.ReportPath, nil)
			request.Header.Set("Authorization", "Bearer "+token)
			pod, refusal := a.authenticate(request)
			if (refusal == nil) != good || good != (pod != nil) {
				t.Errorf("%s: %+v, %+v", token, pod, refusal)
			}
			if api.asked != asked {
				t.Errorf("%s: asked %d times, want %d", token, api.asked, asked)
			}
		}
		ask(long, true, 1)
		ask(long, true, 1)
		ask("bad", false, 2)
		ask("bad", false, 2)
		ask(short, true, 3)
		ask(short, true, 3)
		ask("opaque", true, 4)
		ask("opaque", true, 5) // it does not say how long it is good

		time.Sleep(15*time.Second + 1)
		delete(api.tokens, short)
		ask(short, false, 6)
		ask("bad", false, 7)
		ask(long, true, 7)

		time.Sleep(time.Minute + 1)
		delete(api.tokens, long) // the pod is gone
		ask(long, false, 8)
	})
}

// An API server that cannot be asked makes no token good or bad.
func TestReviewsFail(t *testing.T) {
	b := newBench(t)
	b.api.down = true
	answer := b.post(webToken, address, nothing)
	check(t, answer, http.StatusServiceUnavailable, "cannot be checked")
	if answer.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	b.api.down = false
	check(t, b.post(webToken, address, nothing), http.StatusNoContent, "")
	if got := b.samples(t)[`bulkhead_feed_token_reviews_total{result="error"}`]; got != 1 {
		t.Errorf("%g errors were counted", got)
	}
}

// A flood of forged tokens costs the API server little, and others nothing.
func TestFloodOfTokens(t *testing.T) {
	b := newBench(t)
	check(t, b.post(webToken, address, nothing), http.StatusNoContent, "")
	before := b.api.asked
	var refused, limited int
	for i := range 10 * maxBad {
		switch code := b.post(fmt.Sprintf("forged-%d", i), address, nothing).Code; code {
		case http.StatusUnauthorized:
			refused++
		case http.StatusTooManyRequests:
			limited++
		default:
			t.Fatalf("answered with %d", code)
		}
	}
	// The flood lasts a second or few, in which some more may be asked.
	if asked := b.api.asked - before; asked != refused || asked > 10*reviewBurst {
		t.Errorf("the API server was asked %d times for %d requests", asked, refused+limited)
	}
	b.api.tokens["other"] = vouched("bob", "db")
	check(t, b.post("other", "192.0.2.2:1", nothing), http.StatusNoContent, "")
	check(t, b.post(webToken, address, nothing), http.StatusNoContent, "")
}
