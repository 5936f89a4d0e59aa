package charts

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"sigs.k8s.io/yaml"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

// policyValues are a chart with everything that the policies read set.
const policyValues = `
sidecar: {image: {repository: registry.local/firewall}}
config:
  cluster: {nodeCIDRs: [10.250.0.0/24], tenantCIDRs: [172.16.0.0/16], podCIDRs: [172.16.0.0/16], serviceCIDRs: [10.96.0.0/16]}
  exempt: {namespaces: [monitoring], users: ["o'neill \"quoted\""], runtimeClasses: [trusted]}
`

// The namespaces of the tests; each but other and monitoring is a tenant's.
const policyTenants = `
- metadata: {name: alice}
  spec: {namespaces: [alice], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}
- metadata: {name: mistaken}
  spec: {namespaces: [monitoring], addressing: {mode: cidr, cidrs: [172.16.7.0/24]}}
- metadata: {name: strict}
  spec: {namespaces: [strict], addressing: {mode: cidr, cidrs: [172.16.2.0/24]}, podSecurity: {enforce: restricted}, enforcement: enforce}
- metadata: {name: warned}
  spec: {namespaces: [warned], addressing: {mode: cidr, cidrs: [172.16.3.0/24]}, enforcement: warn}
- metadata: {name: audited}
  spec: {namespaces: [audited], addressing: {mode: cidr, cidrs: [172.16.4.0/24]}, enforcement: audit}
- metadata: {name: first}
  spec: {namespaces: [disputed], addressing: {mode: cidr, cidrs: [172.16.5.0/24]}, enforcement: audit}
- metadata: {name: second}
  spec: {namespaces: [disputed], addressing: {mode: cidr, cidrs: [172.16.6.0/24]}}
`

var policyNamespaces = []string{"alice", "strict", "warned", "audited", "disputed", "other", "monitoring"}

// bothServers are an API server and a webhook of one installation.
type bothServers struct {
	*apiServer
	*webhookServer
}

func newBothServers(t *testing.T) bothServers {
	t.Helper()
	var tenants []*bulkheadv1alpha1.Tenant
	if err := yaml.UnmarshalStrict([]byte(policyTenants), &tenants); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range tenants {
		tenant.TypeMeta = metav1.TypeMeta{APIVersion: bulkheadv1alpha1.GroupVersion.String(), Kind: "Tenant"}
	}
	return bothServers{
		newAPIServer(t, objects(t, template(t, policyValues)), tenants, policyNamespaces...),
		newWebhook(t, configuration(t, policyValues), tenants),
	}
}

func readPod(t testing.TB, spec string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		t.Fatalf("%v in %s", err, spec)
	}
	return pod
}

// TestPolicyRefusesTheCore: attacks are refused by the API server alone, whether the
// webhook has changed the pod before or somebody has taken it away.
func TestPolicyRefusesTheCore(t *testing.T) {
	both := newBothServers(t)
	for _, test := range core(t) {
		t.Run(test.Name, func(t *testing.T) {
			r := request{operation: admission.Create, namespace: "alice", user: "mallory", object: test.pod()}
			if err := both.refusal(t.Context(), r); err == nil || !strings.Contains(err.Error(), test.Rule+": ") || !apierrors.IsForbidden(err) {
				t.Errorf("without the webhook: %v", err)
			}
			r.object = both.mutate(t, r)
			err := both.refusal(t.Context(), r)
			if refused := err != nil && strings.Contains(err.Error(), test.Rule+": "); refused == test.Harmless || test.Harmless && err != nil {
				t.Errorf("after the webhook: %v", err)
			}
		})
	}
}

// attack is a pod of testdata/core.yaml.
type attack struct {
	Name, Rule        string
	Harmless, Invalid bool
	Spec              corev1.PodSpec
}

func (a attack) pod() *corev1.Pod {
	return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, Spec: a.Spec}
}

func core(t testing.TB) []attack {
	t.Helper()
	data, err := os.ReadFile("testdata/core.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var attacks []attack
	if err := yaml.UnmarshalStrict(data, &attacks); err != nil {
		t.Fatal(err)
	}
	return attacks
}

// TestPolicyRefusesTheRulesExamples: what the pages of the rules advise against, of
// the rules that the policy holds.
func TestPolicyRefusesTheRulesExamples(t *testing.T) {
	both := newBothServers(t)
	engine, err := rego.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]bool{}
	for _, id := range []string{
		"pss-privileged", "pss-capabilities", "pss-host-path", "pss-host-namespaces", "pss-host-ports",
		"fw-share-process-namespace", "fw-net-raw", "fw-sidecar-genuine",
	} {
		held[id] = true
	}
	for _, rule := range engine.Rules() {
		if !held[rule.ID] {
			continue
		}
		delete(held, rule.ID)
		t.Run(rule.ID, func(t *testing.T) {
			pod := &corev1.Pod{}
			if err := yaml.Unmarshal([]byte(rule.Avoid), pod); err != nil {
				t.Fatal(err)
			}
			pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
			err := both.refusal(t.Context(), request{operation: admission.Create, namespace: "alice", user: "mallory", object: pod})
			if err == nil || !strings.Contains(err.Error(), rule.ID+": ") {
				t.Error(err)
			}
		})
	}
	for id := range held {
		t.Errorf("there is no rule %s", id)
	}
}

// TestPolicyKeepsTheSidecarsPlaces: what holds NET_ADMIN runs the firewall's image and
// nothing else, at the first two places.
func TestPolicyKeepsTheSidecarsPlaces(t *testing.T) {
	both := newBothServers(t)
	create := request{operation: admission.Create, namespace: "alice", user: "mallory", object: readPod(t, "{initContainers: [{name: i}], containers: [{name: a}]}")}
	injected := both.mutate(t, create)
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"/bin/sh"}}}}
	for name, change := range map[string]func(s *corev1.PodSpec){
		"missing":       func(s *corev1.PodSpec) { s.InitContainers = nil },
		"after another": func(s *corev1.PodSpec) { s.InitContainers = append(s.InitContainers[2:], s.InitContainers[:2]...) },
		"exchanged": func(s *corev1.PodSpec) {
			s.InitContainers[0], s.InitContainers[1] = s.InitContainers[1], s.InitContainers[0]
		},
		"one only":         func(s *corev1.PodSpec) { s.InitContainers = s.InitContainers[:1] },
		"image":            func(s *corev1.PodSpec) { s.InitContainers[0].Image = "evil" },
		"image's prefix":   func(s *corev1.PodSpec) { s.InitContainers[1].Image += "-evil" },
		"command":          func(s *corev1.PodSpec) { s.InitContainers[0].Command = []string{"iptables"} },
		"args":             func(s *corev1.PodSpec) { s.InitContainers[1].Args = []string{"init"} },
		"no args":          func(s *corev1.PodSpec) { s.InitContainers[1].Args = nil },
		"privileged":       func(s *corev1.PodSpec) { s.InitContainers[1].SecurityContext.Privileged = new(true) },
		"more rights":      func(s *corev1.PodSpec) { add(s, "SYS_ADMIN") },
		"no rights":        func(s *corev1.PodSpec) { s.InitContainers[0].SecurityContext = nil },
		"environment":      func(s *corev1.PodSpec) { s.InitContainers[0].Env[0].Name = "LD_PRELOAD" },
		"environment from": func(s *corev1.PodSpec) { s.InitContainers[0].EnvFrom = []corev1.EnvFromSource{{Prefix: "LD_"}} },
		"tools over its own": func(s *corev1.PodSpec) {
			s.InitContainers[1].VolumeMounts = []corev1.VolumeMount{{Name: "tools", MountPath: "/usr/sbin"}}
		},
		"startup probe":  func(s *corev1.PodSpec) { s.InitContainers[1].StartupProbe = probe },
		"liveness probe": func(s *corev1.PodSpec) { s.InitContainers[1].LivenessProbe = probe },
		"readiness":      func(s *corev1.PodSpec) { s.InitContainers[1].ReadinessProbe = probe },
		"hook": func(s *corev1.PodSpec) {
			s.InitContainers[1].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: probe.Exec}}
		},
		"device":             func(s *corev1.PodSpec) { s.InitContainers[0].VolumeDevices = []corev1.VolumeDevice{{Name: "d"}} },
		"init that stays":    func(s *corev1.PodSpec) { s.InitContainers[0].RestartPolicy = s.InitContainers[1].RestartPolicy },
		"firewall that ends": func(s *corev1.PodSpec) { s.InitContainers[1].RestartPolicy = nil },
	} {
		t.Run(name, func(t *testing.T) {
			pod := injected.DeepCopy()
			change(&pod.Spec)
			r := create
			r.object = pod
			if err := both.refusal(t.Context(), r); err == nil || !strings.Contains(err.Error(), "fw-sidecar-genuine: ") {
				t.Errorf("at creation: %v", err)
			}
			r.operation, r.old = admission.Update, injected
			if err := both.refusal(t.Context(), r); err == nil || !strings.Contains(err.Error(), "fw-sidecar-unchanged: ") {
				t.Errorf("by update: %v", err)
			}
		})
	}
	create.object = injected
	if err := both.refusal(t.Context(), create); err != nil {
		t.Errorf("the genuine one: %v", err)
	}
}

func add(s *corev1.PodSpec, capability corev1.Capability) {
	capabilities := s.InitContainers[0].SecurityContext.Capabilities
	capabilities.Add = append(capabilities.Add, capability)
}

// TestPolicyOnUpdate: what an update brings is judged, what was there is left alone.
func TestPolicyOnUpdate(t *testing.T) {
	both := newBothServers(t)
	// Older than the installation, and nothing that would be admitted today.
	old := readPod(t, "{hostNetwork: true, volumes: [{name: p, hostPath: {path: /}}], containers: [{name: a, securityContext: {privileged: true}}], ephemeralContainers: [{name: e, securityContext: {privileged: true}}]}")
	injected := both.mutate(t, request{operation: admission.Create, namespace: "alice", object: readPod(t, "{containers: [{name: a}]}")})
	ephemeral := func(spec string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) {
			added := readPod(t, "{ephemeralContainers: ["+spec+"]}").Spec.EphemeralContainers
			pod.Spec.EphemeralContainers = append(added, pod.Spec.EphemeralContainers...)
		}
	}
	for name, test := range map[string]struct {
		subresource string
		old         *corev1.Pod
		change      func(*corev1.Pod)
		rule        string
	}{
		"label of an old pod":        {"", old, func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }, ""},
		"finalizer of an old pod":    {"", old, func(p *corev1.Pod) { p.Finalizers = []string{"a/b"} }, ""},
		"image of an old pod":        {"", old, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "b" }, ""},
		"harmless in an old pod":     {"ephemeralcontainers", old, ephemeral("{name: d, securityContext: {capabilities: {drop: [NET_RAW]}}}"), ""},
		"privileged in an old pod":   {"ephemeralcontainers", old, ephemeral("{name: d, securityContext: {privileged: true, capabilities: {drop: [ALL]}}}"), "pss-privileged"},
		"image of the app":           {"", injected, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "b" }, ""},
		"harmless":                   {"ephemeralcontainers", injected, ephemeral("{name: d, securityContext: {capabilities: {drop: [ALL]}}}"), ""},
		"netadmin (D7)":              {"ephemeralcontainers", injected, ephemeral("{name: d, securityContext: {capabilities: {drop: [NET_RAW], add: [NET_ADMIN]}}}"), "pss-capabilities"},
		"raw sockets (D7)":           {"ephemeralcontainers", injected, ephemeral("{name: d}"), "fw-net-raw"},
		"beside the firewall (L5)":   {"ephemeralcontainers", injected, ephemeral("{name: d, targetContainerName: bulkhead-firewall, securityContext: {capabilities: {drop: [ALL]}}}"), "fw-reserved-name"},
		"image of the firewall (L4)": {"", injected, func(p *corev1.Pod) { p.Spec.InitContainers[1].Image = "evil" }, "fw-sidecar-unchanged"},
		"resize of the app": {"resize", injected, func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = p.Spec.InitContainers[0].Resources.Limits
		}, ""},
		"resize of the firewall (L4)": {"resize", injected, func(p *corev1.Pod) { p.Spec.InitContainers[1].Resources.Limits = nil }, "fw-sidecar-unchanged"},
	} {
		t.Run(name, func(t *testing.T) {
			pod := test.old.DeepCopy()
			test.change(pod)
			err := both.refusal(t.Context(), request{operation: admission.Update, subresource: test.subresource, namespace: "alice", object: pod, old: test.old})
			if test.rule == "" && err != nil || test.rule != "" && (err == nil || !strings.Contains(err.Error(), "denied request: "+test.rule+": ")) {
				t.Errorf("got %v, want %q", err, test.rule)
			}
		})
	}
}

// TestPolicyScope: a tenant that enforces, and nobody else.
func TestPolicyScope(t *testing.T) {
	both := newBothServers(t)
	for name, test := range map[string]struct {
		namespace, user, class string
		refused                bool
	}{
		"tenant":                       {"alice", "mallory", "", true},
		"enforcement named":            {"strict", "mallory", "", true},
		"warn":                         {"warned", "mallory", "", false},
		"audit":                        {"audited", "mallory", "", false},
		"claimed by one that enforces": {"disputed", "mallory", "", true},
		"no tenant":                    {"other", "mallory", "", false},
		"exempt namespace":             {"monitoring", "mallory", "", false},
		"exempt user":                  {"alice", `o'neill "quoted"`, "", false},
		"exempt runtime class":         {"alice", "mallory", "trusted", false},
		"another runtime class":        {"alice", "mallory", "other", true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := readPod(t, "{containers: [{name: a, securityContext: {privileged: true}}]}")
			if test.class != "" {
				pod.Spec.RuntimeClassName = &test.class
			}
			r := request{operation: admission.Create, namespace: test.namespace, user: test.user, object: pod}
			if err := both.refusal(t.Context(), r); (err != nil) != test.refused {
				t.Errorf("the policy says %v", err)
			}
			if response := both.review(t, webhook.ValidatePath, r); response.Allowed == test.refused {
				t.Errorf("the webhook says %v", response.Result)
			}
		})
	}
}

func TestPolicyOnConnect(t *testing.T) {
	both := newBothServers(t)
	for _, test := range []struct {
		namespace, container string
		refused              bool
	}{
		{"alice", "bulkhead-firewall", true},
		{"alice", "bulkhead-init", true},
		{"alice", "app", false},
		{"alice", "", false},
		{"warned", "bulkhead-firewall", false},
		{"monitoring", "bulkhead-firewall", false},
	} {
		t.Run(test.namespace+" "+test.container, func(t *testing.T) {
			exec := request{operation: admission.Connect, subresource: "exec", namespace: test.namespace, object: &corev1.PodExecOptions{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodExecOptions"}, Container: test.container}}
			attach := request{operation: admission.Connect, subresource: "attach", namespace: test.namespace, object: &corev1.PodAttachOptions{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PodAttachOptions"}, Container: test.container}}
			for _, r := range []request{exec, attach} {
				err := both.refusal(t.Context(), r)
				if (err != nil) != test.refused {
					t.Errorf("%s: %v", r.subresource, err)
				}
				response := both.review(t, webhook.ValidatePath, r)
				if test.refused && (response.Allowed || !strings.HasSuffix(err.Error(), "denied request: "+response.Result.Message)) {
					t.Errorf("%s: the policy says %v, the webhook %v", r.subresource, err, response.Result)
				}
			}
		})
	}
}

// TestPolicyOfNamedNamespaces: the values name the namespaces, and no Tenant is asked.
func TestPolicyOfNamedNamespaces(t *testing.T) {
	values := policyValues + "validatingAdmissionPolicy: {namespaces: [alice, monitoring]}\n"
	server := newAPIServer(t, objects(t, template(t, values)), nil, policyNamespaces...)
	for namespace, refused := range map[string]bool{"alice": true, "strict": false, "monitoring": false} {
		r := request{operation: admission.Create, namespace: namespace, object: readPod(t, "{containers: [{name: a, securityContext: {privileged: true}}]}")}
		if err := server.refusal(t.Context(), r); (err != nil) != refused {
			t.Errorf("%s: %v", namespace, err)
		}
	}
}

// TestPolicyOff: neither policy nor binding.
func TestPolicyOff(t *testing.T) {
	all := objects(t, template(t, "validatingAdmissionPolicy: {enabled: false}"))
	if n := len(pick[*admissionregistrationv1.ValidatingAdmissionPolicy](t, all)) + len(pick[*admissionregistrationv1.ValidatingAdmissionPolicyBinding](t, all)); n > 0 {
		t.Errorf("%d objects", n)
	}
}

// TestPolicyRefusesNothingMore: over generated pods, what the policy refuses the
// webhook refuses too, in the same words. -pods says how many.
func TestPolicyRefusesNothingMore(t *testing.T) {
	both := newBothServers(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := generator{rand.New(rand.NewPCG(seed, 0))}
	var refused, admitted int
	for range *pods {
		r := random.request(t, both.webhookServer)
		err := both.refusal(t.Context(), r)
		response := both.review(t, webhook.ValidatePath, r)
		if err == nil {
			if response.Allowed {
				admitted++
			}
			continue
		}
		refused++
		_, text, _ := strings.Cut(err.Error(), "denied request: ")
		if response.Allowed {
			t.Fatalf("the webhook admits what the policy refuses: %v\n%s", err, describe(t, r))
		}
		if missing := notSaid(text, response.Result.Message); missing != "" {
			t.Fatalf("the webhook does not say %q but %s\n%s", missing, response.Result.Message, describe(t, r))
		}
	}
	t.Logf("%d pods: %d refused by both, %d admitted by both, %d refused by the webhook alone", *pods, refused, admitted, *pods-refused-admitted)
	if refused == 0 || admitted == 0 {
		t.Error("the generator makes one kind only")
	}
}

// notSaid returns the first of the policy's violations that the webhook does not name.
// What is not genuine about a sidecar it says in one; of a tenant that is not
// ready it judges no pod; and it cuts a long list.
func notSaid(policy, said string) string {
	if strings.HasPrefix(said, "tenant-not-ready: ") || strings.Contains(said, "…") {
		return ""
	}
	for _, violation := range strings.Split(policy, " - ") {
		id, _, _ := strings.Cut(violation, ": ")
		if strings.Contains(violation, `container "bulkhead-`) && strings.Contains(said, "fw-sidecar-genuine: ") {
			continue
		}
		// At level restricted another rule says it.
		stricter := map[string]string{"pss-capabilities": "pss-restricted-capabilities: ", "pss-host-path": "pss-volume-types: "}[id]
		if !strings.Contains(said, violation) && (stricter == "" || !strings.Contains(said, stricter)) {
			return violation
		}
	}
	return ""
}

func describe(t testing.TB, r request) string {
	t.Helper()
	text := fmt.Sprintf("%s %s in %s", r.operation, r.subresource, r.namespace)
	for _, object := range []any{r.old, r.object} {
		data, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		text += "\n---\n" + string(data)
	}
	return text
}

// TestPolicyBudget: the API server bounds what an expression may cost; what the
// webhook judges stays below.
func TestPolicyBudget(t *testing.T) {
	both := newBothServers(t)
	everything := corev1.Container{SecurityContext: &corev1.SecurityContext{Capabilities: &corev1.Capabilities{
		Add: []corev1.Capability{"SYS_CHROOT", "SETUID", "SETPCAP", "SETGID", "SETFCAP", "NET_BIND_SERVICE", "MKNOD"},
	}}}
	for i := range 20 {
		everything.Ports = append(everything.Ports, corev1.ContainerPort{ContainerPort: int32(i + 1)})
	}
	for name, count := range map[string]int{"giant": 40, "absurd": 500} {
		t.Run(name, func(t *testing.T) {
			pod := readPod(t, "{}")
			for i := range count {
				everything.Name = fmt.Sprintf("container-%d", i)
				pod.Spec.Containers = append(pod.Spec.Containers, *everything.DeepCopy())
				pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: everything.Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
			}
			r := request{operation: admission.Create, namespace: "alice", user: "mallory", object: pod}
			r.object = both.mutate(t, r)
			if err := both.refusal(t.Context(), r); err != nil {
				t.Errorf("%.300v", err)
			}
			if response := both.review(t, webhook.ValidatePath, r); !response.Allowed {
				t.Errorf("the webhook says %.300v", response.Result)
			}
		})
	}
}

// BenchmarkPolicy is what a pod's creation costs in the API server, by the number of
// Tenants: each of them is a parameter of the policy.
func BenchmarkPolicy(b *testing.B) {
	rendered := objects(b, template(b, policyValues))
	for _, count := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("tenants=%d", count), func(b *testing.B) {
			var tenants []*bulkheadv1alpha1.Tenant
			for i := range count {
				tenant := &bulkheadv1alpha1.Tenant{}
				tenant.TypeMeta = metav1.TypeMeta{APIVersion: bulkheadv1alpha1.GroupVersion.String(), Kind: "Tenant"}
				tenant.Name = fmt.Sprintf("tenant-%d", i)
				for j := range 10 {
					tenant.Spec.Namespaces = append(tenant.Spec.Namespaces, fmt.Sprintf("tenant-%d-%d", i, j))
				}
				tenants = append(tenants, tenant)
			}
			server := newAPIServer(b, rendered, tenants, "tenant-0-0")
			pod := readPod(b, "{containers: [{name: a, securityContext: {capabilities: {drop: [ALL]}}}]}")
			r := request{operation: admission.Create, namespace: "tenant-0-0", user: "somebody", object: pod}
			for b.Loop() {
				if err := server.refusal(b.Context(), r); err == nil || !strings.Contains(err.Error(), "fw-sidecar-genuine") {
					b.Fatal(err)
				}
			}
		})
	}
}
