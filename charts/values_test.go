package charts

import (
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// TestRefusedValues: what is not described, and what contradicts itself, does
// not render, and the message names the value.
func TestRefusedValues(t *testing.T) {
	ranges := "config: {cluster: {nodeCIDRs: [10.0.0.0/24], tenantCIDRs: [172.16.0.0/16]}}\n"
	tenant := func(name, namespaces string) string {
		return "  - {name: " + name + ", spec: {namespaces: [" + namespaces + "], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}}\n"
	}
	for name, test := range map[string]struct{ values, want string }{
		"unknown value":         {"replica: 2", "additional properties 'replica' not allowed"},
		"unknown nested value":  {"config: {cluster: {nodeCidrs: []}}", "additional properties 'nodeCidrs' not allowed"},
		"wrong type":            {"replicas: two", "at '/replicas'"},
		"no replica":            {"replicas: 0", "at '/replicas'"},
		"unknown mode":          {"config: {unassigned: allow}", "at '/config/unassigned'"},
		"tag as digest":         {"sidecar: {image: {digest: latest}}", "at '/sidecar/image/digest'"},
		"address as CIDR":       {"config: {cluster: {nodeCIDRs: [10.0.0.1]}}", "at '/config/cluster/nodeCIDRs/0'"},
		"host bits":             {"config: {cluster: {podCIDRs: [10.0.0.0/8, 10.0.0.1/8]}}", "config.cluster.podCIDRs: 10.0.0.1/8 is no address range in canonical form: behind its /8"},
		"host bits in a byte":   {"config: {cluster: {tenantCIDRs: [172.24.0.0/12]}}", "config.cluster.tenantCIDRs: 172.24.0.0/12 is no"},
		"host bits of IPv6":     {"config: {cluster: {serviceCIDRs: ['fd00:1::/16']}}", "config.cluster.serviceCIDRs: fd00:1::/16 is no"},
		"the last host bit":     {"config: {cluster: {nodeCIDRs: ['2001:db8::1/127']}}", "config.cluster.nodeCIDRs: 2001:db8::1/127 is no"},
		"no IPv4 address":       {"config: {cluster: {nodeCIDRs: [10.0.0.256/32]}}", "config.cluster.nodeCIDRs: 10.0.0.256/32 is no"},
		"three bytes":           {"config: {cluster: {nodeCIDRs: [10.0.0/24]}}", "config.cluster.nodeCIDRs: 10.0.0/24 is no"},
		"a long IPv4 range":     {"config: {cluster: {nodeCIDRs: [10.0.0.0/33]}}", "config.cluster.nodeCIDRs: 10.0.0.0/33 is no"},
		"padded":                {"config: {cluster: {nodeCIDRs: [10.010.0.0/16]}}", "config.cluster.nodeCIDRs: 10.010.0.0/16 is no"},
		"no IPv6 address":       {"config: {cluster: {nodeCIDRs: ['fd00:1:2/48']}}", "config.cluster.nodeCIDRs: fd00:1:2/48 is no"},
		"mapped":                {"config: {cluster: {nodeCIDRs: ['::ffff:10.0.0.0/104']}}", "config.cluster.nodeCIDRs: ::ffff:10.0.0.0/104 is no"},
		"tenant, host bits":     {ranges + "tenants: [{name: a, spec: {namespaces: [a], addressing: {mode: cidr, cidrs: [172.16.1.7/24]}}}]", "tenant a: spec.addressing.cidrs: 172.16.1.7/24 is no"},
		"issuer without a name": {"certificate: {issuerRef: {kind: ClusterIssuer}}", "at '/certificate/issuerRef'"},
		"unknown tenant field":  {ranges + "tenants: [{name: a, spec: {namespaces: [a], adressing: {}, addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}}]", "additional properties 'adressing' not allowed"},
		"tenant, privileged":    {ranges + "tenants: [{name: a, spec: {podSecurity: {enforce: privileged}, namespaces: [a], addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}}]", "at '/tenants/0/spec/podSecurity/enforce'"},
		"tenant, no namespaces": {ranges + "tenants: [{name: a, spec: {addressing: {mode: cidr, cidrs: [172.16.1.0/24]}}}]", "missing property 'namespaces'"},

		"identity without feed":      {"feed: {enabled: false}\ntenants: [{name: a, spec: {namespaces: [a]}}]", "tenant a has addressing identity, which needs the feed"},
		"public without a namespace": {"tenants: [{name: a, spec: {namespaces: [a], public: [web]}}]", "at '/tenants/0/spec/public/0'"},
		"lease":                      {"config: {identity: {lease: 1s}}", "at '/config/identity/lease'"},
		"long lease":                 {"config: {identity: {lease: 11m}}", "at '/config/identity/lease'"},
		"tenants without nodes":      {"config: {cluster: {tenantCIDRs: [172.16.0.0/16]}}\ntenants:\n" + tenant("a", "a"), "tenant a has addressing cidr, but config.cluster.nodeCIDRs is empty"},
		"tenants without ranges":     {"config: {cluster: {nodeCIDRs: [10.0.0.0/24]}}\ntenants:\n" + tenant("a", "a"), "config.cluster.tenantCIDRs is empty"},
		"tenant twice":               {ranges + "tenants:\n" + tenant("a", "a") + tenant("a", "b"), "a is given twice"},
		"namespace of two tenants":   {ranges + "tenants:\n" + tenant("a", "x") + tenant("b", "x"), "namespace x belongs to both a and b"},
		"tenant of the release":      {ranges + "tenants:\n" + tenant("a", "bulkhead-system"), "namespace bulkhead-system of tenant a is exempt"},
		"tenant of kube-system":      {ranges + "tenants:\n" + tenant("a", "kube-system"), "namespace kube-system of tenant a is exempt"},
		"test in exempt namespace":   {"test: {namespace: cert-manager}", "test.namespace: cert-manager is exempt"},
		"test in release namespace":  {"test: {namespace: bulkhead-system}", "test.namespace: bulkhead-system is exempt"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := helm(t, test.values, "template", releaseName, "bulkhead")
			if err == nil {
				t.Fatalf("rendered:\n%s", stdout)
			}
			if !strings.Contains(stderr, test.want) {
				t.Errorf("message %q does not say %q", stderr, test.want)
			}
		})
	}
}

// TestCanonicalRanges: what the webhook takes renders.
func TestCanonicalRanges(t *testing.T) {
	got := configuration(t, `
config:
  cluster:
    podCIDRs: [0.0.0.0/1, 10.0.0.0/8, 172.16.0.0/12, 192.168.1.128/25, 255.255.255.255/32,
      "::/1", "::1/128", "fd00::/8", "fe80::/10", "2001:db8:1:8000::/49", "2001:db8:1:2:3:4:5:6/128",
      "2001:db8:0:0:5::/80", "fd00:0:0:1::/64", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe/127"]
`).Cluster
	if len(got.PodCIDRs) != 14 {
		t.Errorf("%+v", got)
	}
}

// TestEdges renders the chart on both sides of each switch.
func TestEdges(t *testing.T) {
	deployment := func(t *testing.T, all []runtime.Object) corev1.PodSpec {
		return one[*appsv1.Deployment](t, all).Spec.Template.Spec
	}
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		values string
		holds  func(t *testing.T, all []runtime.Object) bool
	}{
		"two replicas have a budget": {"", func(t *testing.T, all []runtime.Object) bool {
			return len(pick[*policyv1.PodDisruptionBudget](t, all)) == 1
		}},
		"one replica has none": {"replicas: 1", func(t *testing.T, all []runtime.Object) bool {
			return len(pick[*policyv1.PodDisruptionBudget](t, all)) == 0
		}},
		"priority class": {"", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).PriorityClassName == "system-cluster-critical"
		}},
		"no priority class": {"priorityClassName: ''", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).PriorityClassName == ""
		}},
		"image by appVersion": {"", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).Containers[0].Image == "registry.local/bulkhead/webhook:dev"
		}},
		"image by tag": {"image: {tag: v1}", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).Containers[0].Image == "registry.local/bulkhead/webhook:v1"
		}},
		"image by digest": {"image: {tag: v1, digest: '" + digest + "'}", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).Containers[0].Image == "registry.local/bulkhead/webhook@"+digest
		}},
		"pull secrets": {"imagePullSecrets: [{name: s}]", func(t *testing.T, all []runtime.Object) bool {
			return len(deployment(t, all).ImagePullSecrets) == 1 && len(one[*corev1.Pod](t, all).Spec.ImagePullSecrets) == 1
		}},
		"node selector": {"nodeSelector: {a: b}", func(t *testing.T, all []runtime.Object) bool {
			return deployment(t, all).NodeSelector["a"] == "b" && one[*corev1.Pod](t, all).Spec.NodeSelector["a"] == "b"
		}},
		"tolerations": {"tolerations: [{key: a, operator: Exists}]", func(t *testing.T, all []runtime.Object) bool {
			return len(deployment(t, all).Tolerations) == 1 && len(one[*corev1.Pod](t, all).Spec.Tolerations) == 1
		}},
		"pod labels cannot replace the selector's": {"podLabels: {app.kubernetes.io/name: x, a: b}", func(t *testing.T, all []runtime.Object) bool {
			d := one[*appsv1.Deployment](t, all)
			return d.Spec.Template.Labels["a"] == "b" && d.Spec.Template.Labels["app.kubernetes.io/name"] == "bulkhead-webhook"
		}},
		"own CA": {"", func(t *testing.T, all []runtime.Object) bool {
			return len(pick[*certmanagerv1.Issuer](t, all)) == 2 && len(pick[*certmanagerv1.Certificate](t, all)) == 2
		}},
		"issuer brought along": {"certificate: {issuerRef: {name: corp, kind: ClusterIssuer}}", func(t *testing.T, all []runtime.Object) bool {
			leaf := one[*certmanagerv1.Certificate](t, all)
			return len(pick[*certmanagerv1.Issuer](t, all)) == 0 && leaf.Spec.IssuerRef.Name == "corp" && leaf.Spec.IssuerRef.Kind == "ClusterIssuer"
		}},
		"no network policy": {"", func(t *testing.T, all []runtime.Object) bool {
			return len(pick[*networkingv1.NetworkPolicy](t, all)) == 0
		}},
		"network policy": {"networkPolicy: {enabled: true, apiServerPorts: [6443]}", func(t *testing.T, all []runtime.Object) bool {
			policy := one[*networkingv1.NetworkPolicy](t, all).Spec
			pod := one[*appsv1.Deployment](t, all).Spec.Template
			return labels.SelectorFromSet(policy.PodSelector.MatchLabels).Matches(labels.Set(pod.Labels)) &&
				policy.Ingress[0].Ports[0].Port.StrVal == pod.Spec.Containers[0].Ports[0].Name &&
				len(policy.Egress) == 1 && len(policy.Egress[0].Ports) == 1 && policy.Egress[0].Ports[0].Port.IntVal == 6443
		}},
		"as a dependency of another chart": {"global: {x: y}", func(t *testing.T, all []runtime.Object) bool { return len(all) > 0 }},
	} {
		t.Run(name, func(t *testing.T) {
			if !test.holds(t, objects(t, template(t, test.values))) {
				t.Error("does not hold")
			}
		})
	}
}

// TestServiceMonitor reads by hand what has no types here.
func TestServiceMonitor(t *testing.T) {
	if strings.Contains(template(t, ""), "kind: ServiceMonitor") {
		t.Error("rendered without being asked for")
	}
	const values = "serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 30s}"
	rendered, stderr, err := helm(t, values, "template", releaseName, "bulkhead", "--show-only", "templates/servicemonitor.yaml")
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	var monitor struct {
		Metadata struct{ Labels map[string]string }
		Spec     struct {
			Selector  struct{ MatchLabels map[string]string }
			Endpoints []struct {
				Port, Scheme, Path, Interval string
				TLSConfig                    struct {
					CA         struct{ Secret struct{ Name, Key string } }
					ServerName string
				}
			}
		}
	}
	if err := yaml.Unmarshal([]byte(rendered), &monitor); err != nil {
		t.Fatal(err)
	}
	all := objects(t, template(t, ""))
	services := pick[*corev1.Service](t, all)
	if len(monitor.Spec.Endpoints) != len(services) || monitor.Metadata.Labels["release"] != "prometheus" {
		t.Fatalf("rendered:\n%s", rendered)
	}
	secret := one[*appsv1.Deployment](t, all).Spec.Template.Spec.Volumes[1].Secret.SecretName
	for i, service := range services {
		if !labels.SelectorFromSet(monitor.Spec.Selector.MatchLabels).Matches(labels.Set(service.Labels)) {
			t.Errorf("does not select the Service %s", service.Name)
		}
		endpoint := monitor.Spec.Endpoints[i]
		if endpoint.Port != service.Spec.Ports[0].Name || endpoint.Scheme != "https" || endpoint.Path != "/metrics" || endpoint.Interval != "30s" ||
			endpoint.TLSConfig.CA.Secret.Name != secret || endpoint.TLSConfig.CA.Secret.Key != "ca.crt" ||
			endpoint.TLSConfig.ServerName != service.Name+".bulkhead-system.svc" {
			t.Errorf("endpoint of %s is %+v", service.Name, endpoint)
		}
	}
}

// TestConfigurationChangeReplacesPods: the webhook reads its file at start.
func TestConfigurationChangeReplacesPods(t *testing.T) {
	annotations := func(values string) map[string]string {
		return one[*appsv1.Deployment](t, objects(t, template(t, values))).Spec.Template.Annotations
	}
	const key = "bulkhead.dev/config-sha256"
	base := annotations("")[key]
	if base == "" || annotations("config: {unassigned: enforce}")[key] == base {
		t.Error("another configuration, the same annotation")
	}
	if annotations("logLevel: 4")[key] != base {
		t.Error("the same configuration, another annotation")
	}
}

// TestNotes: the notes warn of what leaves the cluster open, and of nothing else.
// Warnings that need a cluster are the test bed's.
func TestNotes(t *testing.T) {
	digest := "sidecar: {image: {digest: 'sha256:" + strings.Repeat("0", 64) + "'}}\n"
	for name, test := range map[string]struct {
		values string
		want   []string
	}{
		"default":     {"", []string{"sidecar.image.digest is empty"}},
		"identity":    {digest + "tenants: [{name: a, spec: {namespaces: [a]}}]\n", nil},
		"no feed":     {digest + "feed: {enabled: false}\n", []string{"feed.enabled is false: no pod of a Tenant with addressing identity"}},
		"one replica": {twoTenants + digest + "replicas: 1\n", []string{"replicas is 1"}},
		"complete":    {twoTenants + digest, nil},
		"no policy":   {twoTenants + digest + "validatingAdmissionPolicy: {enabled: false}\n", []string{"validatingAdmissionPolicy.enabled is false"}},
		"policy for some": {twoTenants + digest + "validatingAdmissionPolicy: {namespaces: [alice]}\n",
			[]string{"Tenants' namespaces that validatingAdmissionPolicy.namespaces leaves out, where the API server itself refuses nothing: alice-batch, bob."}},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, err := helm(t, test.values, "install", releaseName, "bulkhead", "--dry-run=client")
			if err != nil {
				t.Fatalf("%v\n%s", err, stderr)
			}
			_, notes, found := strings.Cut(stdout, "\nNOTES:\n")
			if !found {
				t.Fatal("no notes")
			}
			if got := strings.Count(notes, "WARNING:"); got != len(test.want) {
				t.Errorf("%d warnings, want %d, in\n%s", got, len(test.want), notes)
			}
			for _, want := range test.want {
				if !strings.Contains(notes, "WARNING: "+want) {
					t.Errorf("no warning %q in\n%s", want, notes)
				}
			}
		})
	}
}
