package verify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// manyTimes are connections enough that a Service with two endpoints sends some to each: all but one in 2,000 times.
const manyTimes = "12"

// serviceTargets are a Service's own addresses with a port.
func serviceTargets(service *corev1.Service, port int) []string {
	var all []string
	for _, ip := range service.Spec.ClusterIPs {
		if address, err := netip.ParseAddr(ip); err == nil {
			all = append(all, targets([]netip.Addr{address}, port)...)
		}
	}
	return all
}

// onPodNetwork skips what has no meaning on a second network: Services lead to pods' first addresses.
func (s *stage) onPodNetwork() error {
	if s.options.Interface != "" {
		return skipf("Services do not lead to %s", s.options.Interface)
	}
	return nil
}

// call lets a pod call targets many times.
func (s *stage) call(ctx context.Context, from *pod, targets []string) ([]probe.Answer, error) {
	return s.probe(ctx, from, app, append([]string{"dial", "--times", manyTimes}, targets...)...)
}

// mustCall is a control: a pod is answered at every target, by every one of these pods.
func (s *stage) mustCall(ctx context.Context, from *pod, targets []string, by ...*pod) error {
	err := s.eventually(ctx, func() error {
		answers, err := s.call(ctx, from, targets)
		if err != nil {
			return err
		}
		for _, answer := range answers {
			for _, p := range by {
				if !answeredBy(answer, p) {
					return fmt.Errorf("no answer of %s/%s: %s", p.Namespace, p.Name, answer)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("control: %s/%s calls %v: %w", from.Namespace, from.Name, targets, err)
	}
	return nil
}

func answeredBy(answer probe.Answer, p *pod) bool {
	return slices.Contains(answer.Said, probe.Greeting(p.Namespace+"/"+p.Name))
}

// sameService is experiment 4.
func sameService(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	targets := serviceTargets(s.web, servicePort)
	if err := s.mustCall(ctx, s.a.client, targets, s.a.server, s.a.second); err != nil {
		return Blocked, err.Error(), nil
	}
	return Reached, fmt.Sprintf("both endpoints answered at %v", targets), nil
}

// crossService is experiment 3.
func crossService(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	targets := serviceTargets(s.web, servicePort)
	if err := s.mustCall(ctx, s.a.client, targets, s.a.server, s.a.second); err != nil {
		return "", "", err
	}
	answers, err := s.call(ctx, s.b.client, targets)
	return s.outcome(answers), say(answers), err
}

// towardsClusterIP looks whether the sender's own firewall lets a packet go to the other tenant's Service.
func towardsClusterIP(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	return s.sent(ctx, serviceTargets(s.web, servicePort))
}

// nodePort connects to alice's Service by the addresses of the nodes that the pods run on.
func nodePort(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	service, err := s.createService(ctx, s.service(s.a.namespace, "node-port", func(service *corev1.Service) {
		service.Spec.Type = corev1.ServiceTypeNodePort
		service.Spec.Selector = map[string]string{endpointLabel: "web", runLabel: s.id}
	}))
	if err != nil {
		return "", "", err
	}
	var nodes []netip.Addr
	for _, p := range []*pod{s.b.client, s.a.server} {
		for _, host := range p.Status.HostIPs {
			if address, err := netip.ParseAddr(host.IP); err == nil && !slices.Contains(nodes, address) {
				nodes = append(nodes, address)
			}
		}
	}
	// Both ports: at the one that the receiver's probes name its firewall would let a node in.
	var all []string
	for _, port := range service.Spec.Ports {
		all = append(all, targets(nodes, int(port.NodePort))...)
	}
	if !s.protected {
		if err := s.mustReach(ctx, s.b.client, all); err != nil {
			return Blocked, err.Error(), nil
		}
		return Reached, fmt.Sprintf("answered at %v", all), nil
	}
	// Nobody in a tenant reaches a node, so no pod can be the control; the sender's kernel says who dropped it.
	outcome, how, err := s.sent(ctx, all)
	if err != nil || outcome == Reached {
		return outcome, how, err
	}
	outcome, tried, err := s.attack(ctx, s.b.client, all)
	return outcome, tried + "; UDP there: " + how, err
}

// forgedEndpoints puts alice's server behind a Service of bob's, beside bob's own, which is the control.
func forgedEndpoints(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	service, err := s.createService(ctx, s.service(s.b.namespace, "endpoints", ipv4Only))
	if err != nil {
		return "", "", err
	}
	denied, how, err := s.slice(ctx, service, s.b.server, s.a.server)
	if err != nil || denied {
		return Denied, how, err
	}
	targets := serviceTargets(service, servicePort)
	if err := s.mustCall(ctx, s.b.client, targets, s.b.server); err != nil {
		return "", "", err
	}
	answers, err := s.call(ctx, s.b.client, targets)
	if err != nil {
		return "", "", err
	}
	if answeredBy(answers[0], s.a.server) {
		return Reached, say(answers), nil
	}
	return Blocked, "admitted; only the own server answers: " + say(answers), nil
}

// ipv4Only makes a Service of one family, as its endpoints are.
func ipv4Only(service *corev1.Service) {
	single := corev1.IPFamilyPolicySingleStack
	service.Spec.IPFamilyPolicy, service.Spec.IPFamilies = &single, []corev1.IPFamily{corev1.IPv4Protocol}
}

// slice puts pods' IPv4 addresses behind a Service, or says that Bulkhead does not let it.
func (s *stage) slice(ctx context.Context, service *corev1.Service, behind ...*pod) (denied bool, how string, err error) {
	slice := &discoveryv1.EndpointSlice{ObjectMeta: s.meta(service.Namespace, service.Name), AddressType: discoveryv1.AddressTypeIPv4}
	slice.Labels[discoveryv1.LabelServiceName] = service.Name
	for _, p := range behind {
		addresses := only(p.addresses, netip.Addr.Is4)
		if len(addresses) == 0 {
			return false, "", skipf("the pods have no IPv4 address")
		}
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{Addresses: []string{addresses[0].String()}})
	}
	for _, port := range service.Spec.Ports {
		name, number := port.Name, port.TargetPort.IntVal
		slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &name, Port: &number})
	}
	_, err = s.client.DiscoveryV1().EndpointSlices(service.Namespace).Create(ctx, slice, metav1.CreateOptions{})
	return s.refusal(err, "svc-")
}

// Addresses of documentation (RFC 5737), which no host has: kube-proxy takes them for the Services'.
const (
	externalBlocked = "198.51.100.10"
	externalProbe   = "198.51.100.11"
)

// externalAddress reaches for alice's service port by a node that masquerades; the control is her probe port there.
func externalAddress(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.external(ctx, "external", externalBlocked, func(ctx context.Context, address string) (Outcome, string, error) {
		if err := s.mustReach(ctx, s.b.client, []string{address + ":" + strconv.Itoa(readyPort)}); err != nil {
			return "", "", err
		}
		return s.attack(ctx, s.b.client, []string{address + ":" + strconv.Itoa(servicePort)})
	})
}

// probePort reaches for the port that alice's probes name, which her firewall opens to nodes.
func probePort(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.external(ctx, "probe-port", externalProbe, func(ctx context.Context, address string) (Outcome, string, error) {
		target := []string{address + ":" + strconv.Itoa(readyPort)}
		if err := s.mustReach(ctx, s.b.client, target); err != nil {
			return "", "", err // nothing says whether the Service works at all
		}
		return Reached, fmt.Sprintf("%s/%s was answered at %v", s.b.namespace, s.b.client.Name, target), nil
	})
}

// external makes a Service of bob's with an external address (CVE-2020-8554) and alice's server behind it.
func (s *stage) external(ctx context.Context, name, address string, play func(context.Context, string) (Outcome, string, error)) (Outcome, string, error) {
	if err := s.onPodNetwork(); err != nil {
		return "", "", err
	}
	service, err := s.client.CoreV1().Services(s.b.namespace).Create(ctx, s.service(s.b.namespace, name, func(service *corev1.Service) {
		ipv4Only(service)
		service.Spec.ExternalIPs = []string{address}
	}), metav1.CreateOptions{})
	if denied, how, err := s.refusal(err, "svc-"); err != nil || denied {
		return Denied, how, err
	}
	if denied, how, err := s.slice(ctx, service, s.a.server); err != nil || denied {
		return Denied, how, err
	}
	return play(ctx, address)
}

// refusal tells a refusal by Bulkhead from other errors. One of these rules, or of rules that begin like these, must be
// named: what somebody else refuses says nothing of Bulkhead.
func (s *stage) refusal(err error, rules ...string) (denied bool, how string, other error) {
	if err == nil {
		return false, "admitted", nil
	}
	said := refusalText(err)
	if said == "" {
		return false, "", err
	}
	for _, id := range ruleIDs(said) {
		if slices.ContainsFunc(rules, func(rule string) bool { return strings.HasPrefix(id, rule) }) {
			return true, said, nil
		}
	}
	return false, "", fmt.Errorf("it was refused, but by none of Bulkhead's rules %v: %w", rules, errors.Join(err))
}
