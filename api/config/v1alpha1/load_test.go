package v1alpha1

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	bulkheadv1alpha1 "github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const minimal = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

func TestLoadFillsInDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(minimal), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &BulkheadConfiguration{
		Unassigned: UnassignedWarn,
		PodSecurity: PodSecurity{
			PodSecurity: bulkheadv1alpha1.PodSecurity{
				Enforce: bulkheadv1alpha1.Baseline, EnforceVersion: bulkheadv1alpha1.VersionLatest,
				Warn: bulkheadv1alpha1.Restricted, WarnVersion: bulkheadv1alpha1.VersionLatest,
				Audit: bulkheadv1alpha1.Restricted, AuditVersion: bulkheadv1alpha1.VersionLatest,
			},
			NamespaceLabels: NamespaceLabelsIgnore,
		},
		WorkloadTemplates: WorkloadTemplatesWarn,
		Shared:            []string{"kube-system/kube-dns", "default/kubernetes"},
		Identity:          Identity{Lease: metav1.Duration{Duration: 15 * time.Second}, WhenFeedGone: WhenFeedGoneKeep},
		Sidecar: Sidecar{
			Image:           "registry.local/bulkhead/firewall:dev",
			ImagePullPolicy: corev1.PullIfNotPresent,
			Resources: corev1.ResourceRequirements{
				Requests: resources("10m", "32Mi", "8Mi"),
				Limits:   resources("1", "64Mi", "8Mi"),
			},
		},
	}
	want.APIVersion, want.Kind = APIVersion, Kind
	if diff := cmp.Diff(want, config); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestLoadNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: error %v does not name %s", err, path)
	}
	if err := os.WriteFile(path, []byte("kind: Nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("bad file: error %v does not name %s", err, path)
	}
}

func TestDefaultResourcesGiveWay(t *testing.T) {
	r := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse("2"),
			corev1.ResourceMemory: resource.MustParse("100Mi"),
		},
		Limits: corev1.ResourceList{
			corev1.ResourceMemory:           resource.MustParse("100Mi"),
			corev1.ResourceEphemeralStorage: resource.MustParse("1Mi"),
		},
	}
	defaultResources(&r)
	want := corev1.ResourceRequirements{
		Requests: resources("2", "100Mi", "1Mi"),
		Limits:   resources("2", "100Mi", "1Mi"),
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		want   []string // all of these, in one error
	}{
		"nothing":        {"", []string{"0 YAML documents"}},
		"two documents":  {minimal + "---\n" + minimal, []string{"2 YAML documents"}},
		"not YAML":       {"a: [", []string{"did not find expected"}},
		"a list":         {"[1, 2]", []string{"cannot unmarshal array"}},
		"wrong type":     {minimal + "exempt: {namespaces: yes}", []string{"exempt.namespaces"}},
		"doubled field":  {minimal + "unassigned: warn\nunassigned: warn\n", []string{`"unassigned" already set`}},
		"wrong kind":     {"{apiVersion: v1, kind: Pod}", []string{"apiVersion: Unsupported value", "kind: Unsupported value", "sidecar.image: Required"}},
		"unknown fields": {minimal + "exempt: {namespace: [a]}\nunasigned: warn\n", []string{`"exempt.namespace"`, `"unasigned"`}},
		"unknown field of other case": {
			strings.ReplaceAll(minimal, "sidecar", "Sidecar"), []string{`unknown field "Sidecar"`, "sidecar.image: Required"},
		},
		"everything at once": {minimal + `
exempt: {namespaces: [Kube, a, a], users: [""], runtimeClasses: [a_b]}
administrators: {groups: [" "], users: [a, a]}
unassigned: deny
podSecurity: {enforce: privileged, enforceVersion: "1.30", warn: none, warnVersion: next, audit: all, auditVersion: v2, namespaceLabels: maybe}
workloadTemplates: deny
shared: [Kube, a/b/c, a/]
identity: {lease: 1s, whenFeedGone: open}
typo: 1
`, []string{
			"exempt.namespaces[0]: Invalid", "exempt.namespaces[2]: Duplicate", "exempt.users[0]", "exempt.runtimeClasses[0]",
			"administrators.groups[0]", "administrators.users[1]: Duplicate", "unassigned: Unsupported",
			"podSecurity.enforce: Unsupported", "podSecurity.enforceVersion", "podSecurity.warn: Unsupported", "podSecurity.warnVersion",
			"podSecurity.audit: Unsupported", "podSecurity.auditVersion", "podSecurity.namespaceLabels: Unsupported", "workloadTemplates: Unsupported",
			"shared[0]: Invalid", "shared[1]: Invalid", "shared[2]: Invalid", "identity.lease: Invalid", "identity.whenFeedGone: Unsupported",
			`unknown field "typo"`,
		}},
		"ranges": {minimal + `
cluster:
  podCIDRs: [10.0.0.1/16, "10.1.0.0/16", "10.1.0.0/16"]
  serviceCIDRs: ["10.1.8.0/24", "::ffff:10.0.0.0/104"]
  nodeCIDRs: [10.9.0.0, "fd00:0::/64"]
  tenantCIDRs: [192.168.0.0/16]
`, []string{
			"cluster.podCIDRs[0]", "10.0.0.0/16", "cluster.podCIDRs[2]: Duplicate",
			"cluster.serviceCIDRs[0]", "overlaps cluster.podCIDRs[1]", "cluster.serviceCIDRs[1]", "IPv4-mapped",
			"cluster.nodeCIDRs[0]", "cluster.nodeCIDRs[1]", "fd00::/64",
		}},
		"tenants among nodes": {minimal + `
cluster: {nodeCIDRs: [10.0.0.0/8], tenantCIDRs: [172.16.0.0/12, 10.1.0.0/16], serviceCIDRs: [172.16.0.0/16]}
`, []string{
			"cluster.tenantCIDRs[1]", "overlaps cluster.nodeCIDRs[0] 10.0.0.0/8",
			"cluster.tenantCIDRs[0]", "overlaps cluster.serviceCIDRs[0]",
		}},
		"sidecar": {`
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
sidecar:
  image: "registry.local/Bulk head"
  imagePullPolicy: Sometimes
  resources: {requests: {cpu: 2, memory: 0, nvidia.com/gpu: 1}, limits: {cpu: 1}, claims: [{name: a}]}
`, []string{
			"sidecar.image: Invalid", "sidecar.imagePullPolicy: Unsupported", "sidecar.resources.requests[cpu]: Invalid",
			"sidecar.resources.requests[memory]: Invalid", "sidecar.resources.requests[nvidia.com/gpu]: Unsupported",
			"sidecar.resources.claims: Forbidden",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			config, err := Parse([]byte(test.config))
			if err == nil {
				t.Fatalf("accepted: %+v", config)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	config, err := Parse([]byte(minimal + `
exempt: {namespaces: [kube-system], users: ["system:serviceaccount:a:b"], runtimeClasses: [kata]}
administrators: {groups: ["system:masters"]}
unassigned: enforce
podSecurity: {enforce: restricted}
shared: []
identity: {lease: 1m, whenFeedGone: close}
cluster:
  podCIDRs: [172.16.0.0/12, "fd00:1::/48"]
  serviceCIDRs: [10.96.0.0/16]
  nodeCIDRs: [10.0.0.0/24]
  tenantCIDRs: [172.16.0.0/16]
`))
	if err != nil {
		t.Fatal(err)
	}
	if config.PodSecurity.Enforce != bulkheadv1alpha1.Restricted || config.Unassigned != UnassignedEnforce ||
		len(config.Shared) != 0 || config.Identity.Lease.Duration != time.Minute || config.Identity.WhenFeedGone != WhenFeedGoneClose {
		t.Errorf("what is set was changed: %+v", config)
	}
}

func resources(cpu, memory, storage string) corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(cpu),
		corev1.ResourceMemory:           resource.MustParse(memory),
		corev1.ResourceEphemeralStorage: resource.MustParse(storage),
	}
}
