package tenants

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

// fakeClient is client-go's fake of an API server; the real one is the test bed's.
type fakeClient struct {
	*gentype.FakeClientWithList[*v1alpha1.Tenant, *v1alpha1.TenantList]
	fake    *clienttesting.Fake
	tracker clienttesting.ObjectTracker
}

// IsWatchListSemanticsUnSupported tells the reflector what the fake cannot.
func (*fakeClient) IsWatchListSemanticsUnSupported() bool { return true }

func newFakeClient(t *testing.T, objects ...*v1alpha1.Tenant) *fakeClient {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	tracker := clienttesting.NewObjectTracker(scheme, serializer.NewCodecFactory(scheme).UniversalDecoder())
	for _, object := range objects {
		if err := tracker.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	f := &clienttesting.Fake{}
	f.AddReactor("*", "*", clienttesting.ObjectReaction(tracker))
	f.AddWatchReactor("*", func(action clienttesting.Action) (bool, watch.Interface, error) {
		w, err := tracker.Watch(action.GetResource(), action.GetNamespace())
		return true, w, err
	})
	return &fakeClient{gentype.NewFakeClientWithList(
		f, "", v1alpha1.GroupVersion.WithResource("tenants"), v1alpha1.GroupVersion.WithKind("Tenant"),
		func() *v1alpha1.Tenant { return &v1alpha1.Tenant{} },
		func() *v1alpha1.TenantList { return &v1alpha1.TenantList{} },
		func(dst, src *v1alpha1.TenantList) { dst.ListMeta = src.ListMeta },
		func(list *v1alpha1.TenantList) []*v1alpha1.Tenant { return gentype.ToPointerSlice(list.Items) },
		func(list *v1alpha1.TenantList, items []*v1alpha1.Tenant) {
			list.Items = gentype.FromPointerSlice(items)
		},
	), f, tracker}
}

func (c *fakeClient) lists() int {
	count := 0
	for _, action := range c.fake.Actions() {
		if action.GetVerb() == "list" {
			count++
		}
	}
	return count
}

// start runs the cluster until the test ends.
func start(t *testing.T, client Client) *Cluster {
	t.Helper()
	cluster, err := NewCluster(testConfig(), client)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() { defer close(stopped); cluster.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	eventually(t, "synced", cluster.HasSynced)
	return cluster
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not %s after a minute", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestClusterFollows(t *testing.T) {
	client := newFakeClient(t, newTestTenant("alice", "172.16.1.0/24"))
	cluster := start(t, client)
	lists := client.lists()
	owner, err := cluster.Owner(t.Context(), "alice")
	if err != nil || owner == nil || owner.Name != "alice" {
		t.Fatalf("owner %+v, %v", owner, err)
	}
	if client.lists() != lists {
		t.Error("a cached owner was read live")
	}
	if _, err := client.Create(t.Context(), newTestTenant("bob", "172.16.1.0/24"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two tenants", func() bool { return len(cluster.Index().Tenants()) == 2 })
	eventually(t, "a conflict", func() bool { return len(cluster.Index().Owner("alice").Problems) == 1 })
	if problems := cluster.Problems(newTestTenant("bob", "172.16.2.0/24")); len(problems) != 0 {
		t.Errorf("problems of an update that ends the conflict: %s", Texts(problems))
	}
	updated := newTestTenant("bob", "172.16.2.0/24")
	updated.Generation = 2
	if _, err := client.Update(t.Context(), updated, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the conflict", func() bool { return len(cluster.Index().Owner("alice").Problems) == 0 })
	if err := client.Delete(t.Context(), "bob", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one tenant", func() bool { return cluster.Index().Owner("bob") == nil })
}

func TestClusterReadsLiveOnAMiss(t *testing.T) {
	// Never started: its cache knows nothing.
	client := newFakeClient(t, newTestTenant("alice", "172.16.1.0/24"))
	cluster, err := NewCluster(testConfig(), client)
	if err != nil {
		t.Fatal(err)
	}
	if owner, err := cluster.Owner(t.Context(), "alice"); err != nil || owner == nil || owner.Name != "alice" {
		t.Errorf("owner %+v, %v", owner, err)
	}
	if owner, err := cluster.Owner(t.Context(), "default"); err != nil || owner != nil {
		t.Errorf("owner of nobody's namespace: %+v, %v", owner, err)
	}
	client.fake.PrependReactor("list", "tenants", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("etcd is gone")
	})
	if owner, err := cluster.Owner(t.Context(), "default"); err == nil || owner != nil {
		t.Errorf("owner %+v, %v; an error is wanted", owner, err)
	}
}

func TestFlight(t *testing.T) {
	begun, end := make(chan int, 10), make(chan struct{})
	reads := 0
	f := &flight{read: func() (*Index, error) {
		reads++ // one at a time, or -race tells
		begun <- reads
		<-end
		return nil, fmt.Errorf("read %d", reads)
	}}
	results := make(chan string, 10)
	ask := func() {
		_, err := f.do(t.Context())
		results <- err.Error()
	}
	go ask()
	<-begun
	// These come while a read is under way that may miss what they ask for.
	var ready sync.WaitGroup
	for range 5 {
		ready.Go(func() {
			go ask()
		})
	}
	ready.Wait()
	eventually(t, "joined", func() bool {
		f.mutex.Lock()
		defer f.mutex.Unlock()
		return f.next != nil
	})
	time.Sleep(50 * time.Millisecond)
	impatient, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.do(impatient); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that is gone: %v", err)
	}
	close(end)
	var got []string
	for range 6 {
		got = append(got, <-results)
	}
	slices.Sort(got)
	if want := []string{"read 1", "read 2", "read 2", "read 2", "read 2", "read 2"}; !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
}

// The leader counts the same whether it follows pods itself or the feed does.
func TestStatus(t *testing.T) {
	t.Run("follows pods itself", func(t *testing.T) { testStatus(t, func(kubernetes.Interface) Feed { return Feed{} }) })
	t.Run("is told of pods", func(t *testing.T) {
		testStatus(t, func(kube kubernetes.Interface) Feed { return Feed{Pods: followPods(t.Context(), kube)} })
	})
}

func testStatus(t *testing.T, feed func(kubernetes.Interface) Feed) {
	client := newFakeClient(t,
		newTestTenant("alice", "172.16.1.0/24", namespaces("alice", "alice-batch", "alice-later")),
		newTestTenant("bob", "172.16.1.0/25"),
	)
	cluster := start(t, client)
	kube := fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "alice-batch"}},
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}},
		newPod("alice", "protected", corev1.PodRunning, 0, true),
		newPod("alice", "starting", corev1.PodPending, -1, false),
		newPod("alice", "failing", corev1.PodPending, 1, false),
		newPod("alice", "unwatched", corev1.PodRunning, 0, false),
		newPod("alice-batch", "done", corev1.PodSucceeded, 0, true),
		newPod("alice-batch", "broken", corev1.PodFailed, 0, true),
		newPod("default", "other", corev1.PodRunning, 0, true),
	)
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan error)
	told := feed(kube)
	go func() { stopped <- NewStatusController(cluster, kube, &fakeEvents{}, told).Run(ctx) }()
	status := func(name string) v1alpha1.TenantStatus {
		tenant, err := client.Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return tenant.Status
	}
	counts := func(namespaces, pods, protected int32) func() bool {
		return func() bool {
			s := status("alice")
			return s.Namespaces == namespaces && s.Pods == pods && s.ProtectedPods == protected
		}
	}
	eventually(t, "counted", counts(2, 4, 1))
	condition := func(name string) metav1.Condition {
		if c := meta.FindStatusCondition(status(name).Conditions, v1alpha1.ConditionReady); c != nil {
			return *c
		}
		return metav1.Condition{}
	}
	for _, name := range []string{"alice", "bob"} {
		eventually(t, name+" not ready", func() bool {
			c := condition(name)
			return c.Status == metav1.ConditionFalse && c.Reason == ReasonInvalidAddressing && c.Message != ""
		})
	}
	if err := client.Delete(t.Context(), "bob", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "alice ready", func() bool { return condition("alice").Status == metav1.ConditionTrue })
	if err := kube.CoreV1().Pods("alice").Delete(t.Context(), "starting", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "counted anew", counts(2, 3, 1))
	if _, err := kube.CoreV1().Pods("alice").UpdateStatus(t.Context(), newPod("alice", "unwatched", corev1.PodRunning, 0, true), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "protected by now", counts(2, 3, 2))

	// Nothing changes any more, so nothing is written.
	time.Sleep(2 * settle)
	client.fake.ClearActions()
	time.Sleep(2 * settle)
	if actions := client.fake.Actions(); len(actions) > 0 {
		verbs := make([]string, len(actions))
		for i, action := range actions {
			verbs[i] = action.GetVerb()
		}
		t.Errorf("at rest: %q", verbs)
	}
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if told.Pods != nil && len(told.Pods.watchers) != 0 {
		t.Error("pods are told after the term")
	}
}

// newPod has a sidecar whose init exited with the code, or has not if it is less
// than 0, and whose firewall runs or not.
func newPod(namespace, name string, phase corev1.PodPhase, exitCode int32, running bool) *corev1.Pod {
	init := corev1.ContainerStatus{Name: "bulkhead-init"}
	if exitCode >= 0 {
		init.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: exitCode}
	}
	firewall := corev1.ContainerStatus{Name: "bulkhead-firewall"}
	if running {
		firewall.State.Running = &corev1.ContainerStateRunning{}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Status: corev1.PodStatus{Phase: phase, InitContainerStatuses: []corev1.ContainerStatus{
			init, firewall, {Name: "other", State: firewall.State},
		}},
	}
}

func TestTrimKeepsWhatCounts(t *testing.T) {
	pod := newPod("alice", "a", corev1.PodRunning, 0, true)
	pod.Labels = map[string]string{"a": "b"}
	pod.Spec.NodeName = "n"
	got, err := trimmed(pod)
	if err != nil {
		t.Fatal(err)
	}
	if !got.protected || got.ended || got.namespace != "alice" || got.name != "a" || got.deleted || len(got.failures) != 0 {
		t.Errorf("trimmed to %+v", got)
	}
}
