package webhook

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/yaml"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// TestChartRoutesWhatIsAnswered holds the chart's webhook configurations, as its
// snapshot has them, against the handlers: what is routed is answered, and of what
// validation answers nothing is forgotten.
func TestChartRoutesWhatIsAnswered(t *testing.T) {
	rendered, err := os.ReadFile(filepath.Join("..", "charts", "testdata", "default.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	routed := map[string]map[route]bool{"/mutate": {}, "/validate": {}}
	for _, document := range strings.Split(string(rendered), "\n---\n") {
		// Both kinds of configuration have these fields in common.
		var configuration admissionregistrationv1.ValidatingWebhookConfiguration
		if err := yaml.Unmarshal([]byte(document), &configuration); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(configuration.Kind, "WebhookConfiguration") {
			continue
		}
		for _, webhook := range configuration.Webhooks {
			for _, rule := range webhook.Rules {
				for r := range routesOf(t, rule) {
					routed[*webhook.ClientConfig.Service.Path][r] = true
				}
			}
		}
	}
	answered := map[route]bool{}
	for r := range validators {
		answered[r] = true
	}
	if diff := cmp.Diff(texts(answered), texts(routed["/validate"])); diff != "" {
		t.Errorf("/validate (-answered +routed):\n%s", diff)
	}
	if len(routed["/mutate"]) == 0 {
		t.Error("nothing is routed to /mutate")
	}
	for r := range routed["/mutate"] {
		if _, ok := mutators[r]; !ok {
			t.Errorf("/mutate does not answer %s", r)
		}
	}
}

func routesOf(t *testing.T, rule admissionregistrationv1.RuleWithOperations) map[route]bool {
	t.Helper()
	if len(rule.APIGroups) != 1 || len(rule.APIVersions) != 1 {
		t.Errorf("rule %+v has not one group and version", rule)
	}
	routes := map[route]bool{}
	for _, resource := range rule.Resources {
		resource, subresource, _ := strings.Cut(resource, "/")
		for _, operation := range rule.Operations {
			routes[route{rule.APIGroups[0], rule.APIVersions[0], resource, subresource, admissionv1.Operation(operation)}] = true
		}
	}
	return routes
}

func texts(routes map[route]bool) []string {
	var all []string
	for r := range maps.Keys(routes) {
		all = append(all, r.String())
	}
	slices.Sort(all)
	return all
}

// objectRequest asks about an object given in YAML; old is empty but for an update.
func objectRequest(t *testing.T, resource, namespace, object, old string) *admissionv1.AdmissionRequest {
	t.Helper()
	var before []byte
	if old != "" {
		before = toJSON(t, old)
	}
	return workloadRequest(t, resource, namespace, toJSON(t, object), before)
}

func TestServicePath(t *testing.T) {
	service := func(spec string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: " + spec + "}"
	}
	endpoints := func(ip string) string {
		return "{apiVersion: v1, kind: Endpoints, metadata: {name: s}, subsets: [{addresses: [{ip: " + ip + "}]}]}"
	}
	slice := func(ip string) string {
		return "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s}, addressType: IPv4, endpoints: [{addresses: [" + ip + "]}]}"
	}
	vxlan := func(slice string) string {
		return strings.TrimSuffix(slice, "}") + ", ports: [{port: 8472, protocol: UDP}]}"
	}
	const (
		own, another, node, outside = "172.16.1.9", "172.16.2.9", "192.168.0.9", "203.0.113.9"
	)
	for name, test := range map[string]struct {
		resource, namespace, object, old, user string
		rule                                   string // empty: allowed
	}{
		"a Service":                        {"services", "alice", service("{selector: {a: b}}"), "", "", ""},
		"externalIPs":                      {"services", "alice", service("{externalIPs: [192.168.0.1]}"), "", "", "svc-external-ips"},
		"externalIPs, nobody's":            {"services", "default", service("{externalIPs: [192.168.0.1]}"), "", "", ""},
		"externalIPs, exempt":              {"services", "kube-system", service("{externalIPs: [192.168.0.1]}"), "", "", ""},
		"externalIPs, exempt user":         {"services", "alice", service("{externalIPs: [192.168.0.1]}"), "", "system:serviceaccount:ops:builder", ""},
		"externalIPs, as before":           {"services", "alice", service("{externalIPs: [192.168.0.1], type: NodePort}"), service("{externalIPs: [192.168.0.1]}"), "", ""},
		"a finalizer of it":                {"services", "disputed", strings.Replace(service("{externalIPs: [192.168.0.1]}"), "name: s", "name: s, finalizers: [a/b]", 1), service("{externalIPs: [192.168.0.1]}"), "", ""},
		"ExternalName into the cluster":    {"services", "alice", service("{type: ExternalName, externalName: web.bob.svc.cluster.local}"), "", "", "svc-external-name"},
		"Endpoints":                        {"endpoints", "alice", endpoints(own), "", "", ""},
		"Endpoints outside":                {"endpoints", "alice", endpoints(outside), "", "", ""},
		"Endpoints outside, egress denied": {"endpoints", "strict", endpoints(outside), "", "", "svc-endpoint-addresses"},
		"Endpoints of another":             {"endpoints", "alice", endpoints(another), endpoints(own), "", "svc-endpoint-addresses"},
		"Endpoints of a node":              {"endpoints", "alice", endpoints(node), "", "", "svc-endpoint-addresses"},
		"Endpoints derived from pods":      {"endpoints", "alice", endpoints(node), "", "system:serviceaccount:kube-system:endpoint-controller", ""},
		"a slice":                          {"endpointslices", "alice", slice(own), "", "", ""},
		"a slice of another":               {"endpointslices", "alice", slice(another), "", "", "svc-endpoint-addresses"},
		"a slice to VXLAN":                 {"endpointslices", "alice", vxlan(slice(own)), slice(own), "", "svc-endpoint-addresses"},
		"a slice, mirrored":                {"endpointslices", "alice", slice(another), "", "system:serviceaccount:kube-system:endpointslicemirroring-controller", "svc-endpoint-addresses"},
		"a tenant not ready":               {"services", "disputed", service("{selector: {a: b}}"), "", "", "tenant-not-ready"},
	} {
		t.Run(name, func(t *testing.T) {
			request := objectRequest(t, test.resource, test.namespace, test.object, test.old)
			if test.user != "" {
				request.UserInfo.Username = test.user
			}
			d := newTestAdmission(t).Validate(t.Context(), request)
			if d.allowed != (test.rule == "") || test.rule != "" && !slices.Contains(d.rules, test.rule) {
				t.Errorf("allowed %t, rules %q: %s", d.allowed, d.rules, d.message)
			}
		})
	}
}

// shared is a feed that knows of another tenant's load balancer.
type shared struct{ another netip.Addr }

func (shared) Ranges() protocol.Cluster { return protocol.Cluster{} }
func (shared) Holder(netip.Addr) string { return "" }
func (s shared) Denied(tenant string, address netip.Addr) bool {
	return tenant != "strict" && address == s.another
}

// TestServiceStatus: whoever may write the status of a tenant's Services leads no
// address there that is somebody's in the cluster, or another tenant's (threat S4).
func TestServiceStatus(t *testing.T) {
	const another, outside = "203.0.113.7", "203.0.113.9"
	service := func(ip, rest string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: s" + rest + "}, spec: {type: LoadBalancer}, status: {loadBalancer: {ingress: [{ip: " + ip + "}]}}}"
	}
	none := "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: LoadBalancer}, status: {}}"
	for name, test := range map[string]struct {
		namespace, user, object, old string
		denied                       bool
	}{
		"outside":                         {"alice", "", service(outside, ""), none, false},
		"a node":                          {"alice", "", service("192.168.0.9", ""), none, true},
		"a Service's":                     {"alice", "", service("10.96.0.1", ""), none, true},
		"another tenant's pod":            {"alice", "", service("172.16.2.9", ""), none, true},
		"another tenant's load balancer":  {"alice", "", service(another, ""), none, true},
		"the tenant's own load balancer":  {"strict", "", service(another, ""), none, false},
		"a node in place of another":      {"alice", "", service("192.168.0.9", ""), service(outside, ""), true},
		"a node as before, and a label":   {"alice", "", service("192.168.0.9", ", labels: {a: b}"), service("192.168.0.9", ""), false},
		"none any more":                   {"alice", "", none, service("192.168.0.9", ""), false},
		"nobody's namespace":              {"default", "", service("192.168.0.9", ""), none, false},
		"a tenant that warns":             {"warned", "", service("192.168.0.9", ""), none, false},
		"an exempt user, of a controller": {"alice", "system:serviceaccount:ops:builder", service("192.168.0.9", ""), none, false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmissionWithParts(t, Parts{Addresses: shared{netip.MustParseAddr(another)}})
			request := objectRequest(t, "services", test.namespace, test.object, test.old)
			request.SubResource = "status"
			if test.user != "" {
				request.UserInfo.Username = test.user
			}
			d := a.Validate(t.Context(), request)
			if d.allowed == test.denied || test.denied && !slices.Equal(d.rules, []string{"svc-load-balancer"}) {
				t.Errorf("allowed %t, rules %q: %s", d.allowed, d.rules, d.message)
			}
		})
	}
	// The same address as one of spec.
	a := newTestAdmissionWithParts(t, Parts{Addresses: shared{netip.MustParseAddr(another)}})
	d := a.Validate(t.Context(), objectRequest(t, "services", "alice", "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {externalIPs: ["+another+"]}}", ""))
	if d.allowed || !slices.Contains(d.rules, "svc-external-ips") {
		t.Errorf("allowed %t, rules %q: %s", d.allowed, d.rules, d.message)
	}
}

func TestPersistentVolumes(t *testing.T) {
	volume := func(claim, source string) string {
		if claim != "" {
			claim = ", claimRef: {namespace: " + claim + ", name: data}"
		}
		return "{apiVersion: v1, kind: PersistentVolume, metadata: {name: v}, spec: {" + source + claim + "}}"
	}
	const hostPath, disk = "hostPath: {path: /proc}", "csi: {driver: d, volumeHandle: h}"
	for name, test := range map[string]struct {
		object, old string
		denied      bool
	}{
		"a tenant's disk":         {volume("alice", disk), "", false},
		"a tenant's hostPath":     {volume("alice", hostPath), "", true},
		"a tenant's folder":       {volume("alice", "local: {path: /proc}"), "", true},
		"nobody's hostPath":       {volume("", hostPath), "", false},
		"an unassigned hostPath":  {volume("default", hostPath), "", false},
		"an exempt hostPath":      {volume("kube-system", hostPath), "", false},
		"bound to a tenant":       {volume("alice", hostPath), volume("", hostPath), true},
		"moved from one to other": {volume("alice", hostPath), volume("strict", hostPath), true},
		"bound before":            {volume("alice", hostPath+", capacity: {storage: 1Gi}"), volume("alice", hostPath), false},
		"its finalizer":           {volume("disputed", hostPath), volume("disputed", hostPath), false},
		"a tenant that warns":     {volume("warned", hostPath), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTestAdmission(t).Validate(t.Context(), objectRequest(t, "persistentvolumes", "", test.object, test.old))
			if d.allowed == test.denied || test.denied && !slices.Contains(d.rules, "fw-persistent-volume") {
				t.Errorf("allowed %t, rules %q: %s", d.allowed, d.rules, d.message)
			}
		})
	}
}

// TestNetworkAnnotations: the Tenant's list reaches the rules (threat S5).
func TestNetworkAnnotations(t *testing.T) {
	a := newTestAdmission(t)
	a.mustOwner(t, "alice").Spec.Networks = []string{"networks/blue"}
	for network, allowed := range map[string]bool{"networks/blue": true, "networks/red": false, "blue": false} {
		pod := mutated(t, a, "alice", toJSON(t, fmt.Sprintf(
			"{apiVersion: v1, kind: Pod, metadata: {name: p, annotations: {k8s.v1.cni.cncf.io/networks: %s}}, spec: {containers: [{name: a}]}}", network)))
		if d := a.Validate(t.Context(), newRequest(podCreate, "alice", pod, nil)); d.allowed != allowed {
			t.Errorf("%s: allowed %t: %s", network, d.allowed, d.message)
		}
	}
}

func TestObjectsThatCannotBeJudgedAreDenied(t *testing.T) {
	good, broken, unknown := newTestAdmission(t), newTestAdmission(t), newTestAdmission(t)
	broken.engine, unknown.tenants = always(failing{}), failing{}
	const service = "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP}}"
	large := fmt.Sprintf("{apiVersion: v1, kind: Endpoints, metadata: {name: %s}, subsets: []}", strings.Repeat("x", maxPod))
	many := "{apiVersion: v1, kind: Endpoints, metadata: {name: e}, subsets: [{addresses: [" + strings.Repeat("{ip: 172.16.1.1},", maxAddresses+1) + "]}]}"
	for name, test := range map[string]struct {
		admission *Admission
		resource  string
		namespace string
		object    string
		want      string
	}{
		"rules fail":      {broken, "services", "alice", service, "broken"},
		"tenants unknown": {unknown, "services", "alice", service, "broken"},
		"no namespace":    {good, "services", "", service, "without a namespace"},
		"no object":       {good, "services", "alice", "", "no Service"},
		"another type":    {good, "services", "alice", "{spec: []}", "read the addresses"},
		"a claim":         {good, "persistentvolumes", "", "{spec: {claimRef: x}}", "decode PersistentVolume"},
		"too large":       {good, "endpoints", "alice", large, "object-too-large: "},
		"many addresses":  {good, "endpoints", "alice", many, "object-too-large: "},
		"a label":         {good, "namespaces", "alice", "{metadata: {labels: [a]}}", "decode Namespace"},
	} {
		t.Run(name, func(t *testing.T) {
			var raw []byte
			if test.object != "" {
				raw = toJSON(t, test.object)
			}
			d := test.admission.Validate(t.Context(), workloadRequest(t, test.resource, test.namespace, raw, nil))
			if d.allowed || !strings.Contains(d.message, test.want) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
		})
	}
}

func TestValidateNamespace(t *testing.T) {
	namespace := func(name, labels string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + ", labels: {" + labels + "}}}"
	}
	const baseline, broken = "pod-security.kubernetes.io/enforce: baseline", "pod-security.kubernetes.io/enforce: basel, pod-security.kubernetes.io/warn-version: '1.25'"
	for name, test := range map[string]struct {
		honour         bool
		name, now, old string // old: an update
		denied, warned string
	}{
		"a tenant's, baseline":       {false, "alice", baseline, "", "", "namespace-label: namespace alice has the label"},
		"a tenant's, later":          {false, "alice", baseline, "a: b", "", "namespace-label: "},
		"a tenant's, as before":      {false, "alice", baseline + ", a: b", baseline, "", ""},
		"a tenant's, privileged":     {false, "alice", "pod-security.kubernetes.io/enforce: privileged", "", "", ""},
		"of one that is not guarded": {false, "warned", baseline, "", "", ""},
		"nobody's":                   {false, "default", baseline, "", "", ""},
		"not ours to read":           {false, "default", broken, "", "", ""},
		"honoured":                   {true, "alice", baseline, "", "", ""},
		"honoured, unreadable":       {true, "default", broken, "", `namespace-label: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "basel"`, ""},
		"unreadable, as before":      {true, "default", broken + ", a: b", broken, "", ""},
		"exempt":                     {true, "kube-system", broken, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmission(t, func(c *configv1alpha1.BulkheadConfiguration) {
				if test.honour {
					c.PodSecurity.NamespaceLabels = configv1alpha1.NamespaceLabelsHonour
				}
			})
			old := ""
			if test.old != "" {
				old = namespace(test.name, test.old)
			}
			d := a.Validate(t.Context(), objectRequest(t, "namespaces", test.name, namespace(test.name, test.now), old))
			if d.allowed != (test.denied == "") || !strings.Contains(d.message, test.denied) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if got := strings.Join(d.warnings, "\n"); !strings.Contains(got, test.warned) || (test.warned == "") != (got == "") {
				t.Errorf("warnings %q", got)
			}
		})
	}
	t.Run("tenants unknown", func(t *testing.T) {
		a := newTestAdmission(t)
		a.tenants = failing{}
		d := a.Validate(t.Context(), objectRequest(t, "namespaces", "alice", namespace("alice", baseline), ""))
		if d.allowed || !strings.Contains(d.message, errBroken.Error()) {
			t.Errorf("allowed %t: %s", d.allowed, d.message)
		}
	})
}
