package selftest

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// apiServer answers pod creations with a status, or the pod itself for none.
func apiServer(t *testing.T, status *metav1.Status) kubernetes.Interface {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/default/pods" || r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("unexpected request %s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		var answer any = corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
		if status != nil {
			w.WriteHeader(int(status.Code))
			answer = status
		}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// webhookServer answers with a status, and returns the options to reach it by.
func webhookServer(t *testing.T, code int) options {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
	}))
	t.Cleanup(server.Close)
	caFile := filepath.Join(t.TempDir(), "ca.crt")
	data := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(caFile, data, 0o600); err != nil {
		t.Fatal(err)
	}
	address := server.Listener.Addr().(*net.TCPAddr)
	return options{
		host: address.IP.String(), port: address.Port, serverName: "example.com", // as httptest's certificate says
		caFile: caFile, namespace: "default", timeout: 2 * time.Second,
	}
}

func status(reason metav1.StatusReason, message string) *metav1.Status {
	return &metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: http.StatusForbidden, Reason: reason, Message: message,
	}
}

func TestRun(t *testing.T) {
	denied := status(metav1.StatusReasonForbidden, `admission webhook "validate.bulkhead.dev" denied the request: fw-reserved-name: container bulkhead-firewall`)
	for name, test := range map[string]struct {
		ready  int
		status *metav1.Status
		want   string // of the error; empty: none
	}{
		"works":               {http.StatusOK, denied, ""},
		"not ready":           {http.StatusInternalServerError, denied, "webhook is not ready"},
		"admitted":            {http.StatusOK, nil, "was admitted in namespace default"},
		"another rule":        {http.StatusOK, status(metav1.StatusReasonForbidden, `admission webhook "validate.bulkhead.dev" denied the request: no tenants yet`), "not by rule fw-reserved-name"},
		"webhook unreachable": {http.StatusOK, status(metav1.StatusReasonInternalError, `failed calling webhook "validate.bulkhead.dev": fw-reserved-name`), "not by rule fw-reserved-name"},
		"no rights":           {http.StatusOK, status(metav1.StatusReasonForbidden, "pods is forbidden"), "not by rule fw-reserved-name"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := webhookServer(t, test.ready).run(t.Context(), apiServer(t, test.status), &out)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(out.String(), "refused, as it must be") {
					t.Errorf("said %q", out.String())
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestAskReadyTrustsTheGivenCAAndNameOnly(t *testing.T) {
	for name, change := range map[string]func(*options){
		"no file":        func(o *options) { o.caFile = filepath.Join(t.TempDir(), "none") },
		"no certificate": func(o *options) { o.caFile = "selftest_test.go" },
		"another name":   func(o *options) { o.serverName = "bulkhead-webhook.other.svc" },
	} {
		o := webhookServer(t, http.StatusOK)
		change(&o)
		if err := o.askReady(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRefusalKeepsTheCause(t *testing.T) {
	_, err := refusal(t.Context(), apiServer(t, status(metav1.StatusReasonForbidden, "pods is forbidden")), "default")
	var cause apierrors.APIStatus
	if !errors.As(err, &cause) {
		t.Errorf("error %v does not wrap the API server's", err)
	}
}

// TestForbiddenBreaksTheRule: the rules refuse the pod, even where there is no
// tenant and at the lowest level.
func TestForbiddenBreaksTheRule(t *testing.T) {
	engine, err := rego.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	object, err := json.Marshal(forbidden())
	if err != nil {
		t.Fatal(err)
	}
	result, err := engine.Evaluate(t.Context(), rego.Input{
		Request: rego.Request{Operation: rego.Create, Resource: "pods", Namespace: "default"},
		Object:  object,
		Enforce: rego.Level{Name: rego.Privileged, Version: rego.Latest},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(result.Violations, func(v rego.Violation) bool { return v.ID == ruleID }) {
		t.Errorf("violations %v, none of %s", result.Violations, ruleID)
	}
}
