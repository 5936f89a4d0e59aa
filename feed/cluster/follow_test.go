package cluster

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

func testPod(namespace, name, ip string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "1", ResourceVersion: "7"},
		Spec:       corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "app"}}, InitContainers: []corev1.Container{{Name: config.FirewallContainer}}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: ip}}},
	}
}

func hostPod(namespace, name string) *corev1.Pod {
	pod := testPod(namespace, name, "192.168.0.1")
	pod.Spec.HostNetwork = true
	return pod
}

// others keep the names of all pods, and how often each was told.
type others struct {
	mutex sync.Mutex
	told  map[string]int
}

func (o *others) Trim(pod *corev1.Pod) any { return pod.Namespace + "/" + pod.Name }

func (o *others) Set(name any) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.told[name.(string)]++
}

func (o *others) Remove(namespace, name string) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	delete(o.told, namespace+"/"+name)
}

func (o *others) Replace(names []any) {
	clear(o.told)
	for _, name := range names {
		o.Set(name)
	}
}

func (o *others) are(want map[string]int) func() bool {
	return func() bool {
		o.mutex.Lock()
		defer o.mutex.Unlock()
		return maps.Equal(o.told, want)
	}
}

// What the API server has, and what changes of it, comes to the Store, and to whoever else
// needs the pods: to them those too of which the Store has nothing.
func TestFollow(t *testing.T) {
	kube := fake.NewClientset(
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{PodCIDRs: []string{"10.0.0.0/16", "not one"}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.168.0.1"}, {Type: corev1.NodeHostName, Address: "n"}}}},
		&networkingv1.ServiceCIDR{ObjectMeta: metav1.ObjectMeta{Name: "kubernetes"}, Spec: networkingv1.ServiceCIDRSpec{CIDRs: []string{"10.96.0.0/12"}}},
		testPod("alice", "web", "10.0.0.1"), hostPod("alice", "agent"),
	)
	store := peers.NewStore(peers.Options{})
	store.SetTenants([]peers.Tenant{{Name: "alice", Namespaces: []string{"alice"}, Identity: true}, {Name: "bob", Namespaces: []string{"bob"}, Identity: true}})
	also := &others{told: map[string]int{}}
	followed := New(kube, store, Ranges{}, also)
	if followed.Ready() == nil {
		t.Error("ready before anything is read")
	}
	go followed.Run(t.Context())
	await := func(what string, done func() bool) {
		t.Helper()
		for range 30_000 {
			if done() {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("not seen: %s", what)
	}
	holder := func(address, tenant string) func() bool {
		return func() bool { return store.Holder(netip.MustParseAddr(address)) == tenant }
	}
	await("the beginning", func() bool { return followed.Ready() == nil })
	if ranges := store.Ranges(); store.RangesKnown() != nil || len(ranges.Pods) != 1 || len(ranges.Nodes) != 1 || len(ranges.Services) != 1 {
		t.Errorf("ranges %+v, %v", ranges, store.RangesKnown())
	}
	if !holder("10.0.0.1", "alice")() || !also.are(map[string]int{"alice/web": 1, "alice/agent": 1})() {
		t.Errorf("the pods that were there are not known: %v", also.told)
	}
	if !holder("192.168.0.1", "")() {
		t.Error("a pod in its node's network holds the node's address")
	}

	pods, ctx := kube.CoreV1().Pods, t.Context()
	if _, err := pods("bob").Create(ctx, testPod("bob", "db", "10.0.0.2"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("a new pod", holder("10.0.0.2", "bob"))
	moved := testPod("bob", "db", "10.0.0.3")
	if _, err := pods("bob").Update(ctx, moved, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	await("its new address", holder("10.0.0.3", "bob"))
	await("both, beside", also.are(map[string]int{"alice/web": 1, "alice/agent": 1, "bob/db": 2}))
	await("its old one", holder("10.0.0.2", ""))
	if err := pods("bob").Delete(ctx, "db", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("its end", holder("10.0.0.3", ""))
	if err := pods("alice").Delete(ctx, "agent", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("the ends, beside", also.are(map[string]int{"alice/web": 1}))

	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "bob", Name: "front"}, Spec: corev1.ServiceSpec{ExternalIPs: []string{"203.0.113.1"}}}
	if _, err := kube.CoreV1().Services("bob").Create(ctx, service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	denied := func() bool { return store.Denied("alice", netip.MustParseAddr("203.0.113.1")) }
	await("an external address", denied)
	if err := kube.CoreV1().Services("bob").Delete(ctx, "front", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("its end", func() bool { return !denied() })
	if err := kube.CoreV1().Nodes().Delete(ctx, "n", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("that no node is left", func() bool { return store.RangesKnown() != nil })
}

func TestTrimPod(t *testing.T) {
	terminated := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	for name, test := range map[string]struct {
		change func(*corev1.Pod)
		check  func(peers.Pod) bool
	}{
		"as it is":   {func(*corev1.Pod) {}, func(p peers.Pod) bool { return p.Scheduled && p.Listens && !p.Ended && len(p.Addresses) == 1 }},
		"no sidecar": {func(p *corev1.Pod) { p.Spec.InitContainers = nil }, func(p peers.Pod) bool { return !p.Listens }},
		"pending":    {func(p *corev1.Pod) { p.Spec.NodeName = "" }, func(p peers.Pod) bool { return !p.Scheduled }},
		"succeeded":  {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, func(p peers.Pod) bool { return p.Ended }},
		"failed":     {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, func(p peers.Pod) bool { return p.Ended }},
		"starting":   {func(p *corev1.Pod) { p.Status.InitContainerStatuses = []corev1.ContainerStatus{terminated} }, func(p peers.Pod) bool { return !p.Ended }},
		"all have ended": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses, p.Status.InitContainerStatuses = []corev1.ContainerStatus{terminated}, []corev1.ContainerStatus{terminated, terminated}
		}, func(p peers.Pod) bool { return p.Ended }},
		"the sidecar runs": {func(p *corev1.Pod) {
			p.Status.ContainerStatuses, p.Status.InitContainerStatuses = []corev1.ContainerStatus{terminated}, []corev1.ContainerStatus{terminated, running}
		}, func(p peers.Pod) bool { return !p.Ended }},
		"strange addresses": {func(p *corev1.Pod) {
			p.Status.PodIPs = []corev1.PodIP{{IP: "127.0.0.1"}, {IP: "x"}, {IP: "::ffff:10.0.0.1"}, {IP: "fd00::1"}, {IP: "0.0.0.0"}}
		}, func(p peers.Pod) bool { return slices.Equal(p.Addresses, []netip.Addr{netip.MustParseAddr("fd00::1")}) }},
	} {
		t.Run(name, func(t *testing.T) {
			pod := testPod("alice", "web", "10.0.0.1")
			test.change(pod)
			if got := trimPod(pod); got.none || !test.check(got.Pod) {
				t.Errorf("%+v", got)
			}
		})
	}
	if !trimPod(hostPod("kube-system", "proxy")).none {
		t.Error("a pod in its node's network is taken")
	}
}

func TestTrimService(t *testing.T) {
	service := &corev1.Service{Spec: corev1.ServiceSpec{
		ClusterIPs: []string{"10.96.0.1", "fd00::1"}, ExternalIPs: []string{"203.0.113.1"},
		Ports: []corev1.ServicePort{{Port: 80}, {Port: 80, TargetPort: intstr.FromInt32(8080), Protocol: corev1.ProtocolUDP}, {Port: 80, TargetPort: intstr.FromString("http")}},
	}}
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "203.0.113.2"}, {Hostname: "lb.example"}}
	got := trimService(service)
	if len(got.Addresses) != 2 || len(got.External) != 2 || got.Ports[0].Port != 80 || got.Ports[0].Protocol != "tcp" ||
		got.Ports[1].Port != 8080 || got.Ports[1].Protocol != "udp" || got.Ports[2].Port != 0 || got.Ports[2].Name.Value() != "http" {
		t.Errorf("%+v", got)
	}
	service.Spec.ClusterIPs = []string{corev1.ClusterIPNone}
	if got := trimService(service); len(got.Addresses) != 0 {
		t.Errorf("a headless Service has %v", got.Addresses)
	}
	service.Spec.Type = corev1.ServiceTypeExternalName
	if got := trimService(service); len(got.External)+len(got.Ports) != 0 {
		t.Errorf("a name has %+v", got)
	}
}
