package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
)

// events keeps what is recorded.
type events []string

func (e *events) Event(object runtime.Object, eventType, reason, message string) {
	reference := object.(*corev1.ObjectReference)
	*e = append(*e, fmt.Sprintf("%s %s %s/%s/%s (%s): %s", eventType, reason, reference.Kind, reference.Namespace, reference.Name, reference.UID, message))
}

// ownedPod is a pod of a ReplicaSet, with the name that the API server has generated.
func ownedPod(t testing.TB, spec string) []byte {
	t.Helper()
	pod, err := apply([]operation{{Op: "add", Path: "/metadata", Value: json.RawMessage(`{
		"name": "web-5d8f-x7k2p", "generateName": "web-5d8f-",
		"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f", "uid": "u", "controller": true}]}`)}},
		podJSON(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestDenialsOfControllersAreEvents(t *testing.T) {
	a := newTestAdmission(t)
	dryRun := true
	for name, test := range map[string]struct {
		pod    []byte
		change func(*admissionv1.AdmissionRequest)
		want   bool
	}{
		"denied":            {ownedPod(t, experiment8), nil, true},
		"denied, by nobody": {podJSON(t, experiment8), nil, false},
		"denied, dry run":   {ownedPod(t, experiment8), func(r *admissionv1.AdmissionRequest) { r.DryRun = &dryRun }, false},
		"allowed":           {mutated(t, a, "alice", ownedPod(t, podShapes["smallest"])), nil, false},
		"warned":            {ownedPod(t, experiment8), func(r *admissionv1.AdmissionRequest) { r.Namespace = "warned" }, false},
		"failed":            {[]byte(`{"metadata": []}`), nil, false},
		"owned by a name that no object has": {
			bytes.Replace(ownedPod(t, experiment8), []byte(`"name":"web-5d8f"`), []byte(`"name":"`+strings.Repeat("x", 1<<20)+`"`), 1), nil, false,
		},
		"owned by a kind that there is not": {
			bytes.Replace(ownedPod(t, experiment8), []byte(`"ReplicaSet"`), []byte(`"`+strings.Repeat("x", 1<<20)+`"`), 1), nil, false,
		},
	} {
		t.Run(name, func(t *testing.T) {
			request := newRequest(podCreate, "alice", test.pod, nil)
			if test.change != nil {
				test.change(request)
			}
			var recorded events
			recordDenial(&recorded, request, a.Validate(t.Context(), request))
			if (len(recorded) == 1) != test.want {
				t.Fatalf("events %q", recorded)
			}
			if !test.want {
				return
			}
			if !strings.HasPrefix(recorded[0], "Warning RefusedByBulkhead ReplicaSet/alice/web-5d8f (u): ") || !strings.Contains(recorded[0], "pss-privileged: ") {
				t.Errorf("event %q", recorded[0])
			}
			if strings.Contains(recorded[0], "x7k2p") {
				t.Errorf("the pod's generated name is in %q", recorded[0])
			}
		})
	}
}

func TestDecisionLog(t *testing.T) {
	a := newTestAdmission(t)
	const secret = "hunter2"
	pod := podJSON(t, strings.Replace(experiment8, "- name: attacker", "- name: attacker\n  env: [{name: PASSWORD, value: "+secret+"}]", 1))
	dryRun := true
	request := newRequest(podCreate, "alice", pod, nil)
	request.Name, request.DryRun = "web", &dryRun
	var log bytes.Buffer
	m := NewMetrics(metrics.NewKubeRegistry())
	h := &reviewHandler{name: "validate", metrics: m, log: NewDecisionLog(&log)}
	h.tell(request, a.Validate(t.Context(), request), 1500*time.Microsecond)
	exempt := newRequest(podCreate, "kube-system", pod, nil)
	h.tell(exempt, a.Validate(t.Context(), exempt), time.Millisecond)
	if !strings.Contains(log.String(), `"pss-host-path","pss-privileged"`) {
		t.Errorf("the log lacks the rules: %s", log.String())
	}
	if strings.Contains(log.String(), secret) || strings.Contains(log.String(), "/proc") {
		t.Errorf("the log holds the pod: %s", log.String())
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines %q", lines)
	}
	for i, want := range []map[string]any{
		{"handler": "validate", "uid": string(request.UID), "user": "mallory", "operation": "CREATE", "resource": "pods", "namespace": "alice",
			"name": "web", "tenant": "alice", "decision": "deny", "dryRun": true, "milliseconds": 1.5},
		{"handler": "validate", "namespace": "kube-system", "decision": "allow", "exempt": "namespace", "dryRun": false},
	} {
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[i]), &got); err != nil {
			t.Fatal(err)
		}
		for key, value := range want {
			if got[key] != value {
				t.Errorf("%s is %v, want %v", key, got[key], value)
			}
		}
	}
}

// TestNamesAreCutInLogs: of an object that is to be created nobody has looked at the
// name before, and a tenant could drive everything else out of the logs with it.
func TestNamesAreCutInLogs(t *testing.T) {
	request := newRequest(podCreate, "alice", nil, nil)
	request.Name = strings.Repeat("x", 1<<20)
	var log, lines bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&lines)
	t.Cleanup(func() { klog.LogToStderr(true) })
	h := &reviewHandler{name: "validate", metrics: NewMetrics(metrics.NewKubeRegistry()), log: NewDecisionLog(&log)}
	h.tell(request, decision{}, 0)
	h.tell(request, badRequest("%s is no name", request.Name), 0)
	klog.Flush()
	if log.Len() == 0 || log.Len() > 4096 {
		t.Errorf("the decision log has %d bytes", log.Len())
	}
	if lines.Len() == 0 || lines.Len() > 32<<10 { // it writes errors into the logs of lesser ones too
		t.Errorf("the log has %d bytes", lines.Len())
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk is full") }

func TestDecisionLogThatFailsIsCounted(t *testing.T) {
	registry := metrics.NewKubeRegistry()
	h := &reviewHandler{name: "validate", metrics: NewMetrics(registry), log: NewDecisionLog(brokenWriter{})}
	h.tell(newRequest(podCreate, "alice", nil, nil), allow(), 0)
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP bulkhead_admission_unlogged_decisions_total [ALPHA] Number of decisions that could not be written to the decision log.
# TYPE bulkhead_admission_unlogged_decisions_total counter
bulkhead_admission_unlogged_decisions_total 1
`), "bulkhead_admission_unlogged_decisions_total"); err != nil {
		t.Error(err)
	}
}

// TestMetricsOfDecisions: every decision is in one of the three counters, and a dry
// run violates nothing.
func TestMetricsOfDecisions(t *testing.T) {
	a := newTestAdmission(t)
	registry := metrics.NewKubeRegistry()
	h := &reviewHandler{name: "validate", metrics: NewMetrics(registry)}
	dryRun := true
	denied := newRequest(podCreate, "alice", podJSON(t, experiment8), nil)
	rehearsed := newRequest(podCreate, "alice", podJSON(t, experiment8), nil)
	rehearsed.DryRun = &dryRun
	for _, request := range []*admissionv1.AdmissionRequest{
		denied, rehearsed,
		newRequest(podCreate, "kube-system", podJSON(t, experiment8), nil),
		newRequest(podCreate, "alice", nil, nil),
		newRequest(route{"", "v1", "mallory", "", "DELETE"}, "alice", nil, nil),
	} {
		h.tell(request, a.Validate(t.Context(), request), 0)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP bulkhead_admission_decisions_total [ALPHA] Number of reviews decided by handler (mutate or validate), resource, operation, decision (allow or deny) and whether it was a dry run.
# TYPE bulkhead_admission_decisions_total counter
bulkhead_admission_decisions_total{decision="deny",dry_run="false",handler="validate",operation="CREATE",resource="pods"} 1
bulkhead_admission_decisions_total{decision="deny",dry_run="true",handler="validate",operation="CREATE",resource="pods"} 1
# HELP bulkhead_admission_exemptions_total [ALPHA] Number of reviews admitted unseen by handler, resource, operation and what exempts (namespace, user or runtimeClass).
# TYPE bulkhead_admission_exemptions_total counter
bulkhead_admission_exemptions_total{handler="validate",operation="CREATE",reason="namespace",resource="pods"} 1
# HELP bulkhead_admission_errors_total [ALPHA] Number of reviews denied because something failed, here or in the request, by handler, resource and operation.
# TYPE bulkhead_admission_errors_total counter
bulkhead_admission_errors_total{handler="validate",operation="CREATE",resource="pods"} 1
bulkhead_admission_errors_total{handler="validate",operation="other",resource="other"} 1
`), "bulkhead_admission_decisions_total", "bulkhead_admission_exemptions_total", "bulkhead_admission_errors_total"); err != nil {
		t.Error(err)
	}
	counts, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range counts {
		if family.GetName() != "bulkhead_admission_violations_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			if metric.GetCounter().GetValue() != 1 {
				t.Errorf("%v: the dry run was counted too", metric)
			}
		}
	}
}
