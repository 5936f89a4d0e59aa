// Package feed holds both ends of the feed together: the sidecar's client and the
// webhook's server. It has no code but its test.
package feed

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics"

	"github.com/bulkhead-dev/bulkhead/certs"
	"github.com/bulkhead-dev/bulkhead/feed"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/sidecar/report"
)

const serverName = "bulkhead-feed.bulkhead-system.svc"

// tokens stands in for the API server: it knows one token.
type tokens struct{}

func (tokens) Create(_ context.Context, review *authenticationv1.TokenReview, _ metav1.CreateOptions) (*authenticationv1.TokenReview, error) {
	if review.Spec.Token == "web's" {
		review.Status = authenticationv1.TokenReviewStatus{
			Authenticated: true,
			Audiences:     review.Spec.Audiences,
			User: authenticationv1.UserInfo{Username: "system:serviceaccount:alice:default", Extra: map[string]authenticationv1.ExtraValue{
				"authentication.kubernetes.io/pod-name": {"web"}, "authentication.kubernetes.io/pod-uid": {"1"},
			}},
		}
	}
	return review, nil
}

type events chan string

func (e events) Event(object runtime.Object, _, reason, message string) {
	pod := object.(*corev1.ObjectReference)
	e <- fmt.Sprintf("%s/%s %s: %s", pod.Namespace, pod.Name, reason, message)
}

// serve starts a feed, and says where it is as sidecars are told.
func serve(t *testing.T, options feed.Options) *config.Feed {
	t.Helper()
	server := httptest.NewUnstartedServer(feed.NewHandler(options))
	pair, err := certs.SelfSigned(serverName)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := pair.CurrentCertKeyContent()
	loaded, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{loaded}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &config.Feed{Address: netip.MustParseAddrPort(server.Listener.Addr().String()), ServerName: serverName, CA: string(certificate)}
}

// tokenFile holds the token that is known.
func tokenFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte("web's"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestSidecarReportsToTheWebhook: what a sidecar tells is an Event on its pod.
func TestSidecarReportsToTheWebhook(t *testing.T) {
	raised := make(events, 10)
	registry := metrics.NewKubeRegistry()
	client, err := report.New(serve(t, feed.Options{
		Tokens:  tokens{},
		Tenant:  func(namespace string) string { return namespace },
		Events:  raised,
		Metrics: feed.NewMetrics(registry, registry),
	}), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	client.TokenFile = tokenFile(t)
	go client.Run(t.Context())
	client.Report(t.Context(), protocol.Record{Drops: &protocol.Drops{Direction: protocol.Out, Reason: "P3", Packets: 7}})
	client.Report(t.Context(), protocol.Record{Tampering: &protocol.Tampering{
		Time: time.Now(), Kind: protocol.TamperedRule, Detail: "IPv4 INPUT\nlacks a rule", Whole: time.Millisecond,
	}})
	select {
	case got := <-raised:
		const want = "alice/web FirewallTampered: the firewall was changed by somebody else (rule) and repaired within 10ms: IPv4 INPUT lacks a rule"
		if got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("no event")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "bulkhead_firewall_dropped_packets_total" && family.GetMetric()[0].GetCounter().GetValue() == 7 {
			return
		}
	}
	t.Errorf("the dropped packets are not counted: %v", families)
}
