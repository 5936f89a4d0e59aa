package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// public is the name of alice's Service that her Tenant names in spec.public.
const public = "public"

// Addresses of documentation (RFC 5737) for load balancers: kube-proxy takes them for the Services', as a cloud's are.
const (
	loadBalancerAddress = "198.51.100.20"
	publicAddress       = "198.51.100.21"
)

// expose makes a Service of alice's with a load balancer's address, in front of her pods with this label.
func (s *stage) expose(ctx context.Context, name, label, address string) error {
	service, err := s.createService(ctx, s.service(s.a.namespace, name, func(service *corev1.Service) {
		ipv4Only(service)
		class := "bulkhead.dev/verify" // nobody else's
		service.Spec.Type, service.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, &class
		service.Spec.Selector = map[string]string{endpointLabel: label, runLabel: s.id}
	}))
	if err != nil {
		return err
	}
	status, err := json.Marshal(map[string]any{"status": corev1.ServiceStatus{
		LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: address}}},
	}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Services(service.Namespace).Patch(ctx, service.Name, types.MergePatchType, status, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("give the Service %s a load balancer's address: %w", service.Name, err)
	}
	return nil
}

// loadBalancer connects to alice by the address outside the cluster that her Service has.
func loadBalancer(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	if err := s.expose(ctx, "load-balancer", "web", loadBalancerAddress); err != nil {
		return "", "", err
	}
	targets := targets([]netip.Addr{netip.MustParseAddr(loadBalancerAddress)}, servicePort)
	if !s.protected {
		if err := s.mustReach(ctx, s.b.client, targets); err != nil {
			return Blocked, err.Error(), nil
		}
		return Reached, fmt.Sprintf("answered at %v", targets), nil
	}
	if !s.identity { // the sender cannot know whose it is; the receiver's firewall drops what a node masquerades
		return s.attack(ctx, s.b.client, targets)
	}
	// Until the firewalls hear of it the address is one outside like any other, and the receiver's rules alone stop it.
	var outcome Outcome
	var how string
	err := s.eventually(ctx, func() (err error) {
		if outcome, how, err = s.sent(ctx, targets); err == nil && outcome == Reached {
			err = errors.New("packets for it leave the pod: " + how)
		}
		return err
	})
	if outcome != "" && err != nil {
		return Reached, err.Error(), nil
	}
	if err != nil {
		return "", "", err
	}
	outcome, tried, err := s.attack(ctx, s.b.client, targets)
	return outcome, tried + "; UDP there: " + how, err
}

// publicService: what a tenant has opened to all stays open to the other one.
func publicService(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	name := s.a.namespace + "/" + serviceName(public)
	switch {
	case s.protected && !s.identity:
		return "", "", skipf("public Services count with addressing identity only")
	case s.protected && s.options.Existing && !slices.Contains(s.options.A.public, name):
		return "", "", skipf("the tenant of %s does not name %s in spec.public", s.a.namespace, name)
	}
	// A pod of its own: what is open to all is no victim for other checks.
	if _, err := s.start(ctx, s.manifest(s.a.namespace, public, func(p *corev1.Pod) { p.Labels[endpointLabel] = public })); err != nil {
		return "", "", err
	}
	if err := s.expose(ctx, public, public, publicAddress); err != nil {
		return "", "", err
	}
	targets := targets([]netip.Addr{netip.MustParseAddr(publicAddress)}, servicePort)
	if err := s.mustReach(ctx, s.b.client, targets); err != nil {
		return Blocked, err.Error(), nil
	}
	return Reached, fmt.Sprintf("answered at %v", targets), nil
}

// newPod starts a pod of alice's while the others run, and tells how long it and they took to reach each other.
func newPod(ctx context.Context, s *stage) (Outcome, string, error) {
	fresh, err := s.start(ctx, s.manifest(s.a.namespace, "new"))
	if err != nil {
		return "", "", err
	}
	began := time.Now()
	for _, way := range []struct{ from, to *pod }{{s.a.client, fresh}, {fresh, s.a.server}} {
		if err := s.mustReach(ctx, way.from, way.to.targets(probe.ServicePort)); err != nil {
			return Blocked, err.Error(), nil
		}
	}
	return Reached, fmt.Sprintf("both ways %.2f s after it was seen to be Ready", time.Since(began).Seconds()), nil
}
