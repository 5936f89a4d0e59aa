package webhook

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// sidecars computes what is injected from the configuration.
type sidecars struct {
	config                *configv1alpha1.BulkheadConfiguration
	denied, nodes, system []netip.Prefix
}

func newSidecars(config *configv1alpha1.BulkheadConfiguration) (sidecars, error) {
	s := sidecars{config: config}
	cluster := config.Cluster
	for _, list := range []struct {
		field    string
		cidrs    []string
		prefixes *[]netip.Prefix
	}{
		{"tenantCIDRs", cluster.TenantCIDRs, &s.denied},
		{"nodeCIDRs", cluster.NodeCIDRs, &s.nodes},
		{"podCIDRs", cluster.PodCIDRs, &s.system},
		{"serviceCIDRs", cluster.ServiceCIDRs, &s.system},
	} {
		for i, cidr := range list.cidrs {
			prefix, err := configv1alpha1.ParseCIDR(cidr)
			if err != nil {
				return sidecars{}, fmt.Errorf("cluster.%s[%d]: %w", list.field, i, err)
			}
			*list.prefixes = append(*list.prefixes, prefix)
		}
	}
	return s, nil
}

// sidecar is the two containers that a pod must carry.
type sidecar struct {
	init, firewall corev1.Container
}

// expected computes the sidecar of a tenant's pod. It depends on the tenant, the
// configuration and the ports of the pod's own probes, and on nothing else.
func (s sidecars) expected(tenant *tenants.Tenant, pod *corev1.Pod) (*sidecar, error) {
	egress := tenant.Spec.Egress
	config := sidecarconfig.Config{
		Version: sidecarconfig.Version,
		Tenant:  tenant.Name,
		Peers:   tenant.Peers,
		Denied:  s.denied,
		Nodes:   s.nodes,
		System:  s.system,
		Egress: sidecarconfig.Egress{
			Metadata: sidecarconfig.Action(egress.Metadata),
			Nodes:    sidecarconfig.Action(egress.Nodes),
			External: sidecarconfig.Action(egress.External),
		},
		Probes: probePorts(pod),
	}
	encoded, err := config.Encode()
	if err != nil {
		return nil, fmt.Errorf("configure the sidecar of tenant %s: %w", tenant.Name, err)
	}
	always := corev1.ContainerRestartPolicyAlways
	return &sidecar{
		init:     s.container(sidecarconfig.InitContainer, "init", nil, encoded),
		firewall: s.container(sidecarconfig.FirewallContainer, "run", &always, encoded),
	}, nil
}

// container sets every field that the API server or a LimitRange would default,
// so that the admitted container equals the expected one (threat L15). The rules
// need uid 0 with NET_ADMIN, and NET_RAW for iptables' set match; nothing else.
func (s sidecars) container(name, command string, restart *corev1.ContainerRestartPolicy, encoded string) corev1.Container {
	return corev1.Container{
		Name:                     name,
		Image:                    s.config.Sidecar.Image,
		ImagePullPolicy:          s.config.Sidecar.ImagePullPolicy,
		Args:                     []string{command},
		Env:                      []corev1.EnvVar{{Name: sidecarconfig.EnvVar, Value: encoded}},
		Resources:                *s.config.Sidecar.Resources.DeepCopy(),
		RestartPolicy:            restart,
		TerminationMessagePath:   corev1.TerminationMessagePathDefault,
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsUser:                new(int64(0)),
			RunAsGroup:               new(int64(0)),
			RunAsNonRoot:             new(false),
			Privileged:               new(false),
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities: &corev1.Capabilities{
				Drop: []corev1.Capability{"ALL"},
				Add:  []corev1.Capability{"NET_ADMIN", netRaw},
			},
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// input is the sidecar as the rules compare it.
func (s *sidecar) input() (*rego.Sidecar, error) {
	init, err := json.Marshal(s.init)
	if err != nil {
		return nil, fmt.Errorf("encode sidecar: %w", err)
	}
	firewall, err := json.Marshal(s.firewall)
	if err != nil {
		return nil, fmt.Errorf("encode sidecar: %w", err)
	}
	return &rego.Sidecar{Init: init, Firewall: firewall}, nil
}

// isReserved tells whether the name is one of the sidecar's containers.
func isReserved(name string) bool {
	return name == sidecarconfig.InitContainer || name == sidecarconfig.FirewallContainer
}

func reserved(containers []corev1.Container) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool { return isReserved(c.Name) })
}
