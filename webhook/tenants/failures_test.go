package tenants

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

// fakeEvents keeps Events as text.
type fakeEvents struct {
	mutex sync.Mutex
	all   []string
}

func (e *fakeEvents) Event(object runtime.Object, kind, reason, message string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	pod := object.(*corev1.ObjectReference)
	e.all = append(e.all, fmt.Sprintf("%s/%s %s %s %s: %s", pod.Namespace, pod.Name, pod.FieldPath, kind, reason, message))
}

func (e *fakeEvents) seen() []string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	return slices.Clone(e.all)
}

// ended makes a container of the pod's sidecar have ended.
func ended(pod *corev1.Pod, container, id string, exitCode int32, message string) *corev1.Pod {
	pod = pod.DeepCopy()
	for i := range pod.Status.InitContainerStatuses {
		if status := &pod.Status.InitContainerStatuses[i]; status.Name == container {
			status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			status.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
				ContainerID: id, ExitCode: exitCode, Reason: "Error", Message: message, FinishedAt: metav1.Now(),
			}
		}
	}
	return pod
}

// A firewall that cannot be brought in is told of, each time once, in tenants' pods.
func TestFailuresAreTold(t *testing.T) {
	cluster := start(t, newFakeClient(t, newTestTenant("alice", "172.16.1.0/24")))
	web := newPod("alice", "web", corev1.PodPending, -1, false)
	old := ended(newPod("alice", "old", corev1.PodPending, -1, false), "bulkhead-init", "a", 1, "before this leader's time")
	old.Status.InitContainerStatuses[0].LastTerminationState.Terminated.FinishedAt = metav1.NewTime(time.Now().Add(-time.Hour))
	kube := fake.NewClientset(web, old, ended(newPod("default", "web", corev1.PodPending, -1, false), "bulkhead-init", "a", 1, "nobody's"))
	events := &fakeEvents{}
	var running sync.WaitGroup
	running.Go(func() {
		if err := NewStatusController(cluster, kube, events, Feed{}).Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(running.Wait) // after the test's context
	update := func(pod *corev1.Pod) {
		t.Helper()
		if _, err := kube.CoreV1().Pods(pod.Namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var want []string
	await := func(text string) {
		t.Helper()
		want = append(want, text)
		eventually(t, "event", func() bool { return len(events.seen()) >= len(want) })
		if diff := cmp.Diff(want, events.seen()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
	}
	eventually(t, "informer", func() bool { return len(kube.Actions()) >= 4 })
	time.Sleep(100 * time.Millisecond)

	failed := ended(web, "bulkhead-init", "one", 1, `{"level":"INFO"}`+"\nbulkhead-firewall: bring in the sets: this kernel has no ip_set\nload it\n")
	update(failed)
	const text = "alice/web spec.initContainers{bulkhead-init} Warning FirewallFailed: the firewall was not brought in, the pod does not start: "
	await(text + "bulkhead-firewall: bring in the sets: this kernel has no ip_set load it")

	// The same end seen again is no other one; the next one is.
	again := failed.DeepCopy()
	again.Labels = map[string]string{"a": "b"}
	update(again)
	update(ended(failed, "bulkhead-init", "two", 137, `{"level":"WARN","msg":"packet dropped"}`))
	await(text + "Error, exit code 137")

	update(ended(web, "bulkhead-firewall", "three", 2, "bulkhead-firewall: "+strings.Repeat("x", 3000)))
	await("alice/web spec.initContainers{bulkhead-firewall} Warning FirewallFailed: the firewall's watch has ended and is started again, what rules there were stay: bulkhead-firewall: " + strings.Repeat("x", 490) + "…")

	// What ends well, or with its pod, is no failure.
	update(ended(web, "bulkhead-firewall", "four", 0, ""))
	going := ended(web, "bulkhead-firewall", "five", 137, "")
	going.DeletionTimestamp = new(metav1.Now())
	going.Finalizers = []string{"a/b"}
	update(going)
	time.Sleep(100 * time.Millisecond)
	if seen := events.seen(); len(seen) != len(want) {
		t.Errorf("more events: %q", seen[len(want):])
	}
}
