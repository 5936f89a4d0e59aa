package charts

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

// configuration is what the webhook would make of the rendered ConfigMap.
func configuration(t *testing.T, values string) *configv1alpha1.BulkheadConfiguration {
	t.Helper()
	file := one[*corev1.ConfigMap](t, objects(t, template(t, values))).Data["config.yaml"]
	parsed, err := configv1alpha1.Parse([]byte(file))
	if err != nil {
		t.Fatalf("%v in\n%s", err, file)
	}
	return parsed
}

func TestConfiguration(t *testing.T) {
	got := configuration(t, `
config:
  cluster:
    nodeCIDRs: [10.250.0.0/24]
    tenantCIDRs: [172.16.0.0/16, "fd00::/16"]
    podCIDRs: [172.16.0.0/16]
    serviceCIDRs: [10.96.0.0/16]
  exempt: {namespaces: [monitoring, cert-manager], users: [system:node-problem-detector], runtimeClasses: [trusted]}
  administrators: {groups: [admins], users: [root]}
  unassigned: enforce
  podSecurity: {enforce: restricted}
sidecar:
  image: {repository: example.org/firewall, tag: v1, pullPolicy: Always}
  resources: {limits: {memory: 128Mi}}
`)
	want := &configv1alpha1.BulkheadConfiguration{}
	want.APIVersion, want.Kind = configv1alpha1.APIVersion, configv1alpha1.Kind
	want.Exempt.Namespaces = []string{"bulkhead-system", "cert-manager", "kube-system", "monitoring"}
	want.Exempt.Users = []string{"system:node-problem-detector"}
	want.Exempt.RuntimeClasses = []string{"trusted"}
	want.Administrators.Groups = []string{"admins"}
	want.Administrators.Users = []string{"root"}
	want.Unassigned = configv1alpha1.UnassignedEnforce
	want.PodSecurity.Enforce = "restricted"
	want.Cluster.NodeCIDRs = []string{"10.250.0.0/24"}
	want.Cluster.TenantCIDRs = []string{"172.16.0.0/16", "fd00::/16"}
	want.Cluster.PodCIDRs = []string{"172.16.0.0/16"}
	want.Cluster.ServiceCIDRs = []string{"10.96.0.0/16"}
	want.Sidecar.Image = "example.org/firewall:v1"
	want.Sidecar.ImagePullPolicy = corev1.PullAlways
	want.Sidecar.Resources.Limits = got.Sidecar.Resources.Limits
	configv1alpha1.SetDefaults(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if memory := got.Sidecar.Resources.Limits.Memory().String(); memory != "128Mi" {
		t.Errorf("the sidecar's memory limit is %s, want 128Mi", memory)
	}
}

// TestDefaultConfiguration: the values' defaults are the loader's own.
func TestDefaultConfiguration(t *testing.T) {
	got := configuration(t, "")
	bare := &configv1alpha1.BulkheadConfiguration{}
	configv1alpha1.SetDefaults(bare)
	if diff := cmp.Diff(bare.PodSecurity, got.PodSecurity); diff != "" {
		t.Error("podSecurity (-loader +chart):\n", diff)
	}
	if diff := cmp.Diff(bare.Sidecar.Resources, got.Sidecar.Resources); diff != "" {
		t.Error("sidecar.resources (-loader +chart):\n", diff)
	}
	if got.Unassigned != bare.Unassigned || got.Sidecar.ImagePullPolicy != bare.Sidecar.ImagePullPolicy {
		t.Errorf("unassigned %s and pull policy %s, want %s and %s", got.Unassigned, got.Sidecar.ImagePullPolicy, bare.Unassigned, bare.Sidecar.ImagePullPolicy)
	}
}
