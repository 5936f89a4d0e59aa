package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// testAddresses: live's pod, another tenant's, and another tenant's load balancer.
type testAddresses struct{}

func (testAddresses) Ranges() protocol.Cluster {
	return protocol.Cluster{
		Pods:     []netip.Prefix{netip.MustParsePrefix("10.50.0.0/16")},
		Services: []netip.Prefix{netip.MustParsePrefix("10.60.0.0/16")},
		Nodes:    []netip.Prefix{netip.MustParsePrefix("10.70.0.1/32")},
	}
}

func (testAddresses) Holder(address netip.Addr) string {
	return map[string]string{"10.50.0.1": "live", "10.50.0.2": "other"}[address.String()]
}

func (testAddresses) Denied(tenant string, address netip.Addr) bool {
	return tenant == "live" && address.String() == "203.0.113.9"
}

func served() *tenants.Problem { return nil }

// liveAdmission knows the cluster's ranges from the feed alone.
func liveAdmission(t *testing.T, change ...func(*Parts)) *Admission {
	t.Helper()
	parts := Parts{Feed: testFeed, Identity: served, Addresses: testAddresses{}}
	for _, c := range change {
		c(&parts)
	}
	return newTestAdmissionWithParts(t, parts, func(c *configv1alpha1.BulkheadConfiguration) {
		c.Cluster = configv1alpha1.Cluster{}
	})
}

// No address is injected but the feed's: what is there when the pod starts counts.
func TestIdentitySidecar(t *testing.T) {
	a := liveAdmission(t)
	raw := mutated(t, a, "live", podJSON(t, podShapes["smallest"]))
	checkDenial(t, a.Validate(t.Context(), newRequest(podCreate, "live", raw, nil)), "")
	pod := &corev1.Pod{}
	if err := json.Unmarshal(raw, pod); err != nil {
		t.Fatal(err)
	}
	for _, container := range pod.Spec.InitContainers {
		config, err := sidecarconfig.Parse([]byte(container.Env[0].Value))
		if err != nil {
			t.Fatal(err)
		}
		if config.Addressing != sidecarconfig.Identity || config.WhenFeedGone != sidecarconfig.Keep || config.Feed == nil ||
			len(config.Peers)+len(config.Denied)+len(config.Nodes)+len(config.System) > 0 {
			t.Errorf("%s has %+v", container.Name, config)
		}
		if mounts := container.VolumeMounts; len(mounts) != 1 || mounts[0].Name != sidecarconfig.TokenVolume || !mounts[0].ReadOnly {
			t.Errorf("%s mounts %+v", container.Name, mounts)
		}
	}
	for name, change := range map[string]func(*corev1.Pod){
		"init without the token": func(p *corev1.Pod) { p.Spec.InitContainers[0].VolumeMounts = nil },
		"another's addressing": func(p *corev1.Pod) {
			p.Spec.InitContainers[1].Env[0].Value = strings.Replace(p.Spec.InitContainers[1].Env[0].Value, `"keep"`, `"close"`, 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			changed := pod.DeepCopy()
			change(changed)
			checkDenial(t, a.Validate(t.Context(), newRequest(podCreate, "live", encode(t, changed), nil)), "fw-sidecar-genuine")
		})
	}
}

// Where peers could never be told, nobody is admitted, and told why.
func TestIdentityIsNotServed(t *testing.T) {
	request := newRequest(podCreate, "live", podJSON(t, podShapes["smallest"]), nil)
	for name, test := range map[string]struct {
		change func(*Parts)
		want   string
	}{
		"no feed": {func(p *Parts) { *p = Parts{} }, "tenant live: spec.addressing.mode: Forbidden: identity needs the feed"},
		"unknown ranges": {func(p *Parts) {
			p.Identity = func() *tenants.Problem { return tenants.UnknownRanges(errors.New("set cluster.podCIDRs")) }
		}, "set cluster.podCIDRs"},
		"no address of the feed": {func(p *Parts) {
			p.Feed = func() (*sidecarconfig.Feed, error) { return nil, errors.New("no address yet") }
		}, "no address yet"},
	} {
		t.Run(name, func(t *testing.T) {
			a := liveAdmission(t, test.change)
			checkDenial(t, a.Mutate(t.Context(), request), test.want)
			checkDenial(t, a.Validate(t.Context(), request), test.want)
		})
	}
}

// Endpoints lead to the tenant's own live pods, or where it may go itself (S3).
func TestIdentityEndpoints(t *testing.T) {
	a := liveAdmission(t)
	for address, want := range map[string]string{
		"10.50.0.1":        "",                          // its own pod's
		"::ffff:10.50.0.1": "",                          // the same
		"198.51.100.7":     "",                          // outside
		"10.50.0.2":        "or another tenant's",       // another tenant's pod
		"10.50.0.3":        "or another tenant's",       // nobody's yet
		"10.60.0.1":        "or another tenant's",       // a Service's
		"10.70.0.1":        "or another tenant's",       // a node's
		"203.0.113.9":      "or another tenant's",       // another tenant's load balancer
		"169.254.169.254":  "not the tenant's to reach", // metadata
	} {
		for _, object := range []struct {
			group, version, resource, kind, text string
		}{
			{"", "v1", "endpoints", "Endpoints", `{"apiVersion":"v1","kind":"Endpoints","metadata":{"name":"e"},"subsets":[{"addresses":[{"ip":%q}]}]}`},
			{"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice",
				`{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"e"},"addressType":"IPv4","endpoints":[{"addresses":[%q]}]}`},
		} {
			t.Run(object.resource+" "+address, func(t *testing.T) {
				r := route{object.group, object.version, object.resource, "", admissionv1.Create}
				request := newRequest(r, "live", fmt.Appendf(nil, object.text, address), nil)
				request.Kind = metav1.GroupVersionKind{Group: object.group, Version: object.version, Kind: object.kind}
				checkDenial(t, a.Validate(t.Context(), request), want)
			})
		}
	}
}
