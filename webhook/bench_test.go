package webhook

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"
)

// benchmarkPod is a deployment's pod as the API server sends it: with the defaults
// and the service account's token in place.
const benchmarkPod = `
serviceAccountName: default
serviceAccount: default
automountServiceAccountToken: true
restartPolicy: Always
dnsPolicy: ClusterFirst
schedulerName: default-scheduler
terminationGracePeriodSeconds: 30
enableServiceLinks: true
preemptionPolicy: PreemptLowerPriority
priority: 0
securityContext: {}
tolerations:
- {effect: NoExecute, key: node.kubernetes.io/not-ready, operator: Exists, tolerationSeconds: 300}
- {effect: NoExecute, key: node.kubernetes.io/unreachable, operator: Exists, tolerationSeconds: 300}
volumes:
- name: kube-api-access-abcde
  projected:
    defaultMode: 420
    sources:
    - serviceAccountToken: {expirationSeconds: 3607, path: token}
    - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    - downwardAPI: {items: [{path: namespace, fieldRef: {apiVersion: v1, fieldPath: metadata.namespace}}]}
- name: data
  emptyDir: {}
containers:
- name: web
  image: registry.example/web:1.2.3
  imagePullPolicy: IfNotPresent
  ports: [{name: http, containerPort: 8080, protocol: TCP}]
  env: [{name: A, value: "1"}, {name: B, value: "2"}, {name: POD, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}]
  resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 128Mi}}
  readinessProbe: {httpGet: {path: /ready, port: http, scheme: HTTP}, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}
  livenessProbe: {httpGet: {path: /live, port: http, scheme: HTTP}, periodSeconds: 10, timeoutSeconds: 1, successThreshold: 1, failureThreshold: 3}
  terminationMessagePath: /dev/termination-log
  terminationMessagePolicy: File
  volumeMounts:
  - {name: data, mountPath: /data}
  - {name: kube-api-access-abcde, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
`

// BenchmarkReview is a review from bytes to bytes, without the network.
func BenchmarkReview(b *testing.B) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	defer klog.LogToStderr(true)
	a := newTestAdmission(b)
	m := NewMetrics(metrics.NewKubeRegistry())
	pod := podJSON(b, benchmarkPod)
	injected := mutated(b, a, "alice", pod)
	strictPod := mutated(b, a, "strict", podJSON(b, strings.Replace(strings.Replace(benchmarkPod,
		"securityContext: {}", "securityContext: {runAsNonRoot: true}", 1),
		"- name: web\n", "- name: web\n  securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n", 1)))
	labelled, err := apply([]operation{{Op: "add", Path: "/metadata/labels", Value: map[string]string{"a": "b"}}}, injected)
	if err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name    string
		decide  decideFunc
		body    []byte
		allowed bool
	}{
		{"mutate", a.Mutate, reviewJSON(b, newRequest(podCreate, "alice", pod, nil)), true},
		{"mutate-again", a.Mutate, reviewJSON(b, newRequest(podCreate, "alice", injected, nil)), true},
		{"validate-baseline-warn-restricted", a.Validate, reviewJSON(b, newRequest(podCreate, "alice", injected, nil)), true},
		{"validate-restricted", a.Validate, reviewJSON(b, newRequest(podCreate, "strict", strictPod, nil)), true},
		{"validate-denied", a.Validate, reviewJSON(b, newRequest(podCreate, "alice", podJSON(b, experiment8), nil)), false},
		{"validate-label-update", a.Validate, reviewJSON(b, newRequest(podUpdate, "alice", labelled, injected)), true},
		{"validate-exec", a.Validate, reviewJSON(b, newRequest(podExec, "alice", []byte(`{"container": "web"}`), nil)), true},
		{"exempt", a.Validate, reviewJSON(b, newRequest(podCreate, "kube-system", pod, nil)), true},
	} {
		b.Run(bench.name, func(b *testing.B) {
			handler := &reviewHandler{name: bench.name, decide: bench.decide, metrics: m}
			want := []byte(`"allowed":true`)
			if !bench.allowed {
				want = []byte(`"allowed":false`)
			}
			b.ReportAllocs()
			for b.Loop() {
				recorder := httptest.NewRecorder()
				request := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(bench.body))
				request.Header.Set("Content-Type", "application/json")
				handler.ServeHTTP(recorder, request)
				if !bytes.Contains(recorder.Body.Bytes(), want) {
					b.Fatal(recorder.Body)
				}
			}
		})
	}
}

// BenchmarkServer is a review over TLS on loopback, as the API server sends it.
func BenchmarkServer(b *testing.B) {
	s := serve(b, unchanged)
	a := newTestAdmission(b)
	pod := podJSON(b, benchmarkPod)
	for path, body := range map[string][]byte{
		MutatePath:   reviewJSON(b, newRequest(podCreate, "alice", pod, nil)),
		ValidatePath: reviewJSON(b, newRequest(podCreate, "alice", mutated(b, a, "alice", pod), nil)),
	} {
		b.Run(strings.TrimPrefix(path, "/"), func(b *testing.B) {
			for b.Loop() {
				if code, text := s.post(b, path, "application/json", body); code != http.StatusOK || !strings.Contains(text, `"allowed":true`) {
					b.Fatalf("code %d: %s", code, text)
				}
			}
		})
	}
}
