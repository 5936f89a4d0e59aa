package main

import (
	"crypto/tls"
	"encoding/json"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// The replicas that are Ready are asked, with the token and under the feed's name; what
// one does not tell is not known.
func TestConnected(t *testing.T) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("bulkhead-feed.bulkhead-system.svc", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != protocol.ConnectedPath || r.Header.Get("Authorization") != "Bearer leader" {
			http.Error(w, "who are you", http.StatusForbidden)
			return
		}
		if err := json.NewEncoder(w).Encode(protocol.Connected{Tenants: map[string]int{"alice": 2, "bob": 1}}); err != nil {
			t.Error(err)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	host, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	replica := func(name string, ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bulkhead-system", Name: name, Labels: map[string]string{"app": "webhook"}},
			Status:     corev1.PodStatus{PodIP: host, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	kube := fake.NewClientset(
		&corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: "bulkhead-system", Name: "bulkhead-feed"},
			Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "webhook"}},
		},
		replica("a", corev1.ConditionTrue), replica("b", corev1.ConditionTrue), replica("c", corev1.ConditionFalse),
		&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "bulkhead-system", Name: "other"}, Status: corev1.PodStatus{PodIP: "192.0.2.1"}},
	)
	count := func(token string) (map[string]int, error) {
		r := &replicas{kube, "bulkhead-system", "bulkhead-feed", port, ca, &rest.Config{BearerToken: token}}
		return r.connected(t.Context())
	}
	if got, err := count("leader"); err != nil || !maps.Equal(got, map[string]int{"alice": 4, "bob": 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := count("tenant"); err == nil {
		t.Errorf("with another token: %v", got)
	}
}
