package webhook

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// tokenSeconds is the life of a sidecar's token, of which the kubelet gets it a new
// one in time. An hour is what TokenRequest defaults to.
const tokenSeconds = 3600

// Feed tells where the feed is. All replicas must say the same, or one
// would refuse what another has injected; an error denies.
type Feed func() (*sidecarconfig.Feed, error)

// sidecars computes what is injected from the configuration.
type sidecars struct {
	config                *configv1alpha1.BulkheadConfiguration
	feed                  Feed // nil: there is none
	denied, nodes, system []netip.Prefix
}

func newSidecars(config *configv1alpha1.BulkheadConfiguration, feed Feed) (sidecars, error) {
	s := sidecars{config: config, feed: feed}
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

// sidecar is what a pod must carry: two containers, and where there is a feed the
// volume with their token.
type sidecar struct {
	init, firewall corev1.Container
	volumes        []corev1.Volume
}

// expected computes the sidecar of a tenant's pod. It depends on the tenant, the
// configuration, the feed and the ports of the pod's own probes, and on nothing else:
// what lives, with addressing identity, the sidecar learns from the feed.
func (s sidecars) expected(tenant *tenants.Tenant, pod *corev1.Pod) (*sidecar, error) {
	egress := tenant.Spec.Egress
	config := sidecarconfig.Config{
		Version: sidecarconfig.Version,
		Tenant:  tenant.Name,
		Egress: sidecarconfig.Egress{
			Metadata: sidecarconfig.Action(egress.Metadata),
			Nodes:    sidecarconfig.Action(egress.Nodes),
			External: sidecarconfig.Action(egress.External),
		},
		Probes: probePorts(pod),
	}
	identity := tenant.Spec.Addressing.Mode == v1alpha1.AddressingIdentity
	if identity {
		config.Addressing = sidecarconfig.Identity
		config.WhenFeedGone = sidecarconfig.WhenFeedGone(s.config.Identity.WhenFeedGone)
	} else {
		config.Peers, config.Denied, config.Nodes, config.System = tenant.Peers, s.denied, s.nodes, s.system
	}
	if s.feed != nil {
		feed, err := s.feed()
		if err != nil {
			return nil, fmt.Errorf("configure the sidecar of tenant %s: %w", tenant.Name, err)
		}
		config.Feed = feed
	}
	encoded, err := config.Encode()
	if err != nil {
		return nil, fmt.Errorf("configure the sidecar of tenant %s: %w", tenant.Name, err)
	}
	always := corev1.ContainerRestartPolicyAlways
	expected := &sidecar{
		init:     s.container(sidecarconfig.InitContainer, "init", nil, encoded),
		firewall: s.container(sidecarconfig.FirewallContainer, "run", &always, encoded),
	}
	if config.Feed != nil {
		expected.volumes = []corev1.Volume{tokenVolume()}
		mounts := []corev1.VolumeMount{{
			Name: sidecarconfig.TokenVolume, ReadOnly: true, MountPath: path.Dir(protocol.TokenFile),
		}}
		expected.firewall.VolumeMounts = mounts
		if identity { // the first container asks for the peers too
			expected.init.VolumeMounts = slices.Clone(mounts)
		}
	}
	return expected, nil
}

// tokenVolume sets every field that the API server would default. The token is bound
// to the pod and good for the feed alone. Who reads it is the owner, uid 0 without
// any capability to override that.
func tokenVolume() corev1.Volume {
	return corev1.Volume{
		Name: sidecarconfig.TokenVolume,
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience:          protocol.Audience,
				ExpirationSeconds: new(int64(tokenSeconds)),
				Path:              path.Base(protocol.TokenFile),
			}}},
			DefaultMode: new(int32(0o400)),
		}},
	}
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
	in := &rego.Sidecar{Init: init, Firewall: firewall}
	for _, volume := range s.volumes {
		if in.Volume, err = json.Marshal(volume); err != nil {
			return nil, fmt.Errorf("encode sidecar: %w", err)
		}
	}
	return in, nil
}

// isReserved tells whether the name is one of the sidecar's containers.
func isReserved(name string) bool {
	return name == sidecarconfig.InitContainer || name == sidecarconfig.FirewallContainer
}

func reserved(containers []corev1.Container) bool {
	return slices.ContainsFunc(containers, func(c corev1.Container) bool { return isReserved(c.Name) })
}
