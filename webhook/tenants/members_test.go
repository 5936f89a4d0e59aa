package tenants

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pods that come, change and go are counted, and each change is told with what was known
// before.
func TestMembers(t *testing.T) {
	members := NewMembers()
	set := func(pod *corev1.Pod) { members.Set(members.Trim(pod)) }
	var told []string
	unwatch := members.watch(func(namespace string, before *fact, now *member) {
		text := namespace + ":"
		if before != nil {
			text += fmt.Sprintf(" was ended %t, protected %t", before.ended, before.protected)
		}
		if now != nil {
			text += fmt.Sprintf(" is ended %t, protected %t", now.ended, now.protected)
		}
		told = append(told, text)
	})
	check := func(step string, pods, protected int32, want ...string) {
		t.Helper()
		if p, q := members.count("alice"); p != pods || q != protected {
			t.Errorf("%s: %d pods, %d protected, want %d and %d", step, p, q, pods, protected)
		}
		slices.Sort(told)
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", step, told, want)
		}
		told = nil
	}
	check("nothing", 0, 0)
	if members.hasSynced() {
		t.Error("all pods are known")
	}
	members.Replace([]any{
		members.Trim(newPod("alice", "web", corev1.PodPending, -1, false)), members.Trim(newPod("alice", "job", corev1.PodRunning, 0, true)),
		members.Trim(newPod("bob", "db", corev1.PodRunning, 0, true)),
	})
	if !members.hasSynced() {
		t.Error("not all pods are known")
	}
	check("all that there are", 2, 1, "alice: is ended false, protected false", "alice: is ended false, protected true", "bob: is ended false, protected true")
	set(newPod("alice", "web", corev1.PodRunning, 0, true))
	check("a change", 2, 2, "alice: was ended false, protected false is ended false, protected true")
	set(newPod("alice", "job", corev1.PodSucceeded, 0, true))
	check("an end", 1, 1, "alice: was ended false, protected true is ended true, protected true")
	members.Remove("alice", "job")
	check("one is gone", 1, 1, "alice: was ended true, protected true")
	members.Remove("alice", "job")
	members.Remove("carol", "job")
	check("nobody is gone", 1, 1)
	members.Replace([]any{members.Trim(newPod("alice", "new", corev1.PodRunning, 0, false))})
	check("others", 1, 0, "alice: is ended false, protected false", "alice: was ended false, protected true", "bob: was ended false, protected true")
	unwatch()
	members.Replace(nil)
	check("nobody listens", 0, 0)
	if len(members.namespaces) != 0 {
		t.Errorf("left: %v", members.namespaces)
	}
}

// Who leads next is told of failures that it may have missed, and of no older ones.
func TestFailuresOfTheNextTerm(t *testing.T) {
	cluster := start(t, newFakeClient(t, newTestTenant("alice", "172.16.1.0/24")))
	members, events := NewMembers(), &fakeEvents{}
	set := func(pod *corev1.Pod) { members.Set(members.Trim(pod)) }
	web := newPod("alice", "web", corev1.PodPending, -1, false)
	old := ended(newPod("alice", "old", corev1.PodPending, -1, false), "bulkhead-init", "a", 1, "long ago")
	old.Status.InitContainerStatuses[0].LastTerminationState.Terminated.FinishedAt = metav1.NewTime(time.Now().Add(-time.Hour))
	set(old)
	set(ended(web, "bulkhead-init", "one", 1, "bulkhead-firewall: between two leaders"))

	term := &statusRun{cluster: cluster, events: events, began: time.Now()}
	told := func(_ string, before *fact, now *member) { term.tellFailures(before, now) }
	unwatch := members.watch(told)
	const text = "alice/web spec.initContainers{bulkhead-init} Warning FirewallFailed: the firewall was not brought in, the pod does not start: bulkhead-firewall: "
	want := []string{text + "between two leaders"}
	if seen := events.seen(); !slices.Equal(seen, want) {
		t.Errorf("events %q", seen)
	}
	failed := ended(web, "bulkhead-init", "two", 1, "bulkhead-firewall: now")
	set(failed)
	set(failed)
	set(old)
	if seen := events.seen(); !slices.Equal(seen, append(want, text+"now")) {
		t.Errorf("events %q", seen)
	}
	unwatch()
	set(ended(web, "bulkhead-init", "three", 1, "nobody leads"))
	if seen := events.seen(); len(seen) != 2 {
		t.Errorf("events %q", seen)
	}
}
