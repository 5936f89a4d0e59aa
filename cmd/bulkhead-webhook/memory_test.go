package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/certs"
)

// The size of the cluster of BenchmarkMemory.
const (
	benchmarkTenants             = 1_000
	benchmarkNamespacesPerTenant = 10
	benchmarkPodsPerNamespace    = 1
)

// BenchmarkMemory starts the webhook, as leader, before a stand-in of an API server
// that knows 1,000 tenants with 10,000 namespaces and a pod in each, and reports what
// the process has resident once it is ready and keeps the Tenants' status, and at
// most until then.
func BenchmarkMemory(b *testing.B) {
	server := httptest.NewServer(newStandIn(b))
	defer server.Close()
	for b.Loop() {
		resident, peak := residentMemory(b, server.URL)
		b.ReportMetric(resident, "rss-MiB")
		b.ReportMetric(peak, "peak-rss-MiB")
	}
}

// standIn answers for the resources that the webhook follows, each a list of objects
// and their kind; nothing ever changes.
type standIn map[string]collection

type collection struct {
	apiVersion, kind string
	items            [][]byte
}

func (s standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	collection, ok := s[r.URL.Path]
	switch {
	case ok && r.URL.Query().Get("watch") == "true":
		collection.stream(w)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case strings.Contains(r.URL.Path, "/leases") && r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}`)
	case strings.Contains(r.URL.Path, "/leases"):
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind": "Lease", "apiVersion": "coordination.k8s.io/v1", "metadata": {"name": "bulkhead-webhook-leader", "namespace": "bulkhead-system", "resourceVersion": "2"}, "spec": {}}`)
	default: // statuses and events
		fmt.Fprint(w, `{"kind": "Tenant", "apiVersion": "bulkhead.dev/v1alpha1", "metadata": {"name": "any", "resourceVersion": "2"}}`)
	}
}

// stream sends all objects and the mark of their end, as an API server does for a
// watch with sendInitialEvents (KEP-3157).
func (c collection) stream(w http.ResponseWriter) {
	for _, item := range c.items {
		fmt.Fprintf(w, "{\"type\": \"ADDED\", \"object\": %s}\n", item)
	}
	fmt.Fprintf(w, `{"type": "BOOKMARK", "object": {"apiVersion": %q, "kind": %q, "metadata": {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}}}`+"\n", c.apiVersion, c.kind)
}

func newStandIn(b *testing.B) standIn {
	b.Helper()
	encode := func(object any) []byte {
		encoded, err := json.Marshal(object)
		if err != nil {
			b.Fatal(err)
		}
		return encoded
	}
	tenants := collection{"bulkhead.dev/v1alpha1", "Tenant", nil}
	namespaces := collection{"meta.k8s.io/v1", "PartialObjectMetadata", nil}
	pods := collection{"v1", "Pod", nil}
	for i := range benchmarkTenants {
		tenant := v1alpha1.Tenant{
			TypeMeta:   metav1.TypeMeta{APIVersion: tenants.apiVersion, Kind: tenants.kind},
			ObjectMeta: storedMeta(fmt.Sprintf("tenant-%d", i), ""),
		}
		tenant.Spec.Addressing = v1alpha1.Addressing{Mode: v1alpha1.AddressingCIDR, CIDRs: []string{fmt.Sprintf("172.%d.%d.0/24", 16+i/256, i%256)}}
		for j := range benchmarkNamespacesPerTenant {
			namespace := fmt.Sprintf("tenant-%d-%d", i, j)
			tenant.Spec.Namespaces = append(tenant.Spec.Namespaces, namespace)
			namespaces.items = append(namespaces.items, encode(metav1.PartialObjectMetadata{
				TypeMeta: metav1.TypeMeta{APIVersion: namespaces.apiVersion, Kind: namespaces.kind}, ObjectMeta: storedMeta(namespace, ""),
			}))
			for k := range benchmarkPodsPerNamespace {
				pods.items = append(pods.items, encode(storedPod(namespace, fmt.Sprintf("web-%d", k))))
			}
		}
		tenants.items = append(tenants.items, encode(tenant))
	}
	return standIn{
		"/apis/bulkhead.dev/v1alpha1/tenants": tenants,
		"/api/v1/namespaces":                  namespaces,
		"/api/v1/pods":                        pods,
		"/api/v1/limitranges":                 {"v1", "LimitRange", nil},
	}
}

// storedPod is a tenant's pod that runs.
func storedPod(namespace, name string) corev1.Pod {
	return corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: storedMeta(name, namespace),
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "registry.example/web:1", Env: []corev1.EnvVar{{Name: "TEXT", Value: strings.Repeat("x", 2048)}},
		}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, InitContainerStatuses: []corev1.ContainerStatus{
			{Name: "bulkhead-init", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
			{Name: "bulkhead-firewall", Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}},
	}
}

// storedMeta is about what an API server stores of an object.
func storedMeta(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: namespace, UID: "00000000-0000-0000-0000-000000000000", ResourceVersion: "1", Generation: 1,
		Labels:      map[string]string{"kubernetes.io/metadata.name": name, "team": "blue"},
		Annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat("x", 512)},
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager: "kubectl", Operation: "Update", FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:labels":{".":{},"f:team":{}}}}`),
		}},
	}
}

// residentMemory runs the webhook until it keeps statuses, and returns MiB.
func residentMemory(b *testing.B, apiServer string) (resident, peak float64) {
	b.Helper()
	folder := b.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			b.Fatal(err)
		}
		return path
	}
	pair, err := certs.SelfSigned("localhost", "127.0.0.1")
	if err != nil {
		b.Fatal(err)
	}
	certificate, key := pair.CurrentCertKeyContent()
	kubeconfig := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: %q}}], users: [{name: a, user: {}}]}", apiServer)
	c := command(b, "--config", write("config.yaml", strings.Replace(testConfig, "172.16.0.0/16", "172.16.0.0/12", 1)), "--kubeconfig", write("kubeconfig", kubeconfig),
		"--tls-cert-file", write("tls.crt", string(certificate)), "--tls-private-key-file", write("tls.key", string(key)),
		"--bind-address", "127.0.0.1", "--secure-port", "18443", "--lease-namespace", "bulkhead-system", "--shutdown-delay", "0s")
	log := &lines{}
	c.Stderr = log
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := c.Process.Kill(); err != nil {
			b.Error(err)
		}
		_ = c.Wait() // killed
	}()
	deadline := time.Now().Add(2 * time.Minute)
	for ready := false; !ready; {
		if time.Now().After(deadline) {
			b.Fatalf("not ready:\n%s", log)
		}
		time.Sleep(200 * time.Millisecond)
		if answer, err := client.Get("https://127.0.0.1:18443/readyz"); err == nil {
			answer.Body.Close()
			ready = answer.StatusCode == http.StatusOK && strings.Contains(log.String(), "Leading")
		}
	}
	time.Sleep(20 * time.Second) // statuses are written, garbage is collected
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	mib := func(name string) float64 {
		match := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if match == nil {
			b.Fatalf("no %s in %s", name, status)
		}
		kib, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			b.Fatal(err)
		}
		return kib / 1024
	}
	return mib("VmRSS"), mib("VmHWM")
}
