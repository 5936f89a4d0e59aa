package verify

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// crossTenant is experiment 1, in both directions.
func crossTenant(ctx context.Context, s *stage) (Outcome, string, error) {
	alice := slices.Concat(s.a.server.targets(probe.ServicePort), s.a.second.targets(probe.ServicePort))
	bob := s.b.server.targets(probe.ServicePort)
	if err := s.mustReach(ctx, s.a.client, alice); err != nil {
		return "", "", err
	}
	if err := s.mustReach(ctx, s.b.client, bob); err != nil {
		return "", "", err
	}
	there, how, err := s.attack(ctx, s.b.client, alice)
	if err != nil {
		return "", "", err
	}
	back, also, err := s.attack(ctx, s.a.client, bob)
	if err != nil {
		return "", "", err
	}
	return s.worst(there, back), how + "; " + also, nil
}

// worst joins two attempts as outcome does.
func (s *stage) worst(a, b Outcome) Outcome {
	if a == b || s.protected && a == Reached {
		return a
	}
	if s.protected {
		return b
	}
	return Blocked
}

// sameTenant is experiment 2.
func sameTenant(ctx context.Context, s *stage) (Outcome, string, error) {
	answers, err := s.dial(ctx, s.a.client, slices.Concat(s.a.server.targets(probe.ServicePort), s.a.second.targets(probe.ServicePort)))
	return all(answers), say(answers), err
}

// all is what must go on working came to: reached only if all of it was.
func all(answers []probe.Answer) Outcome {
	if allReached(answers) {
		return Reached
	}
	return Blocked
}

// outside is experiment 5: what isolation must leave.
func outside(ctx context.Context, s *stage) (Outcome, string, error) {
	var answers []probe.Answer
	for _, client := range []*pod{s.a.client, s.b.client} {
		resolved, err := s.probe(ctx, client, app, "resolve", "kubernetes.default.svc")
		if err != nil {
			return "", "", err
		}
		answers = append(answers, resolved...)
		if len(s.options.Outside) == 0 {
			continue
		}
		dialled, err := s.dial(ctx, client, s.options.Outside)
		if err != nil {
			return "", "", err
		}
		answers = append(answers, dialled...)
	}
	detail := say(answers)
	if len(s.options.Outside) == 0 {
		detail += "; no host outside was tried, --outside names none"
	}
	return all(answers), detail, nil
}

// forgeIPv4 sends to alice's server under the address of alice's client.
func forgeIPv4(ctx context.Context, s *stage) (Outcome, string, error) {
	from, to := only(s.a.client.addresses, netip.Addr.Is4), only(s.a.server.addresses, netip.Addr.Is4)
	if len(from) == 0 || len(to) == 0 {
		return "", "", skipf("the pods have no IPv4 address")
	}
	return s.forged(ctx, []string{"forge", "--from", from[0].String()}, to)
}

// forgeIPv6 does the same by IPV6_FREEBIND, which anybody may use.
func forgeIPv6(ctx context.Context, s *stage) (Outcome, string, error) {
	from, to := only(s.a.client.addresses, netip.Addr.Is6), only(s.a.server.addresses, netip.Addr.Is6)
	if len(from) == 0 || len(to) == 0 {
		return "", "", skipf("the pods have no IPv6 address")
	}
	return s.forged(ctx, []string{"send", "--from", from[0].String()}, to)
}

// crossUDP is experiment 1 by UDP.
func crossUDP(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.forged(ctx, []string{"send"}, s.a.server.addresses)
}

// forged lets bob's client send to alice's server, which must hear the client that it trusts.
func (s *stage) forged(ctx context.Context, command []string, to []netip.Addr) (Outcome, string, error) {
	if err := s.mustArrive(ctx, s.a.client, s.a.server, to, probe.DataPort); err != nil {
		return "", "", err
	}
	answers, err := s.packet(ctx, s.b.client, command, s.a.server, to, probe.DataPort)
	if err != nil {
		return "", "", err
	}
	return s.outcome(answers), fmt.Sprintf("%s: %s", strings.Join(command, " "), say(answers)), nil
}

// crossIPv6 is experiment 1 by IPv6 alone.
func crossIPv6(ctx context.Context, s *stage) (Outcome, string, error) {
	alice := targets(only(s.a.server.addresses, netip.Addr.Is6), probe.ServicePort)
	if len(alice) == 0 {
		return "", "", skipf("the pods have no IPv6 address")
	}
	if err := s.mustReach(ctx, s.a.client, alice); err != nil {
		return "", "", err
	}
	return s.attack(ctx, s.b.client, alice)
}

// framesAreBlocked: no packet socket for a tenant, nor the capability for one.
func framesAreBlocked(ctx context.Context, s *stage) (Outcome, string, error) {
	alice := only(s.a.server.addresses, netip.Addr.Is4)
	if len(alice) == 0 {
		return "", "", skipf("the pods have no IPv4 address")
	}
	if err := s.mustArrive(ctx, s.a.client, s.a.server, alice, probe.DataPort); err != nil {
		return "", "", err
	}
	answers, err := s.packet(ctx, s.b.client, []string{"frame"}, s.a.server, alice, probe.DataPort)
	if err != nil {
		return "", "", err
	}
	asked, how, err := s.admission(ctx, s.manifest(s.b.namespace, "raw", withCapabilities(0, "NET_RAW")), "fw-net-raw", "pss-capabilities")
	if err != nil {
		return "", "", err
	}
	if asked == Reached {
		return Reached, "a pod that asks for NET_RAW is admitted with it", nil
	}
	return s.outcome(answers), say(answers) + "; a pod that asks for NET_RAW: " + how, nil
}

// framePasses: without Bulkhead a packet socket sends past rules that block everything else.
func framePasses(ctx context.Context, s *stage) (Outcome, string, error) {
	alice := only(s.a.server.addresses, netip.Addr.Is4)
	if len(alice) == 0 {
		return "", "", skipf("the pods have no IPv4 address")
	}
	bob, err := s.ruledAttacker(ctx, "frames")
	if err != nil {
		return "", "", err
	}
	answers, err := s.packet(ctx, bob, []string{"frame"}, s.a.server, alice, probe.DataPort)
	return s.outcome(answers), "its rules blocked TCP; by a packet socket: " + say(answers), err
}

// tunnels are IP protocols that a node unpacks: IPIP, 6in4, GRE.
func tunnels() []int { return []int{4, 41, 47} }

// encapsulate sends to bob's own server, which would accept it: such packets must not leave a pod at all, because a
// node may answer at any address.
func encapsulate(ctx context.Context, s *stage) (Outcome, string, error) {
	if err := s.mustArrive(ctx, s.b.client, s.b.server, s.b.server.addresses, probe.DataPort); err != nil {
		return "", "", err
	}
	var answers []probe.Answer
	for _, port := range probe.EncapsulationPorts() {
		sent, err := s.packet(ctx, s.b.client, []string{"send"}, s.b.server, s.b.server.addresses, port)
		if err != nil {
			return "", "", err
		}
		answers = append(answers, sent...)
	}
	for _, address := range only(s.b.server.addresses, netip.Addr.Is4) {
		for _, protocol := range tunnels() {
			sent, err := s.probe(ctx, s.b.client, app, "raw", "--protocol", strconv.Itoa(protocol), address.String())
			if err != nil {
				return "", "", err
			}
			sent[0].Target = fmt.Sprintf("%s protocol %d", address, protocol)
			answers = append(answers, sent...)
		}
	}
	return s.outcome(answers), say(answers), nil
}

// secondInterface is experiment 1 over the other networks of the pods.
func secondInterface(ctx context.Context, s *stage) (Outcome, string, error) {
	if s.options.Interface != "" {
		return "", "", skipf("--interface %s: every check between pods is played over it", s.options.Interface)
	}
	if len(s.a.server.others) == 0 {
		return "", "", skipf("the pods have no second interface; --network can ask for one")
	}
	var alice []string
	for _, addresses := range s.a.server.others {
		alice = append(alice, targets(addresses, probe.ServicePort)...)
	}
	slices.Sort(alice)
	if err := s.mustReach(ctx, s.a.client, alice); err != nil {
		return "", "", err
	}
	return s.attack(ctx, s.b.client, alice)
}

// The metadata service of AWS, Azure, Google and others, and AWS' by IPv6.
const (
	metadataIPv4 = "169.254.169.254:80"
	metadataIPv6 = "[fd00:ec2::254]:80"
)

// metadata sends a UDP packet: the sender learns at once whether its own firewall dropped it, which shows something
// also where there is no cloud behind the address.
func metadata(ctx context.Context, s *stage) (Outcome, string, error) {
	targets := []string{metadataIPv4}
	if s.protected && len(only(s.b.client.addresses, netip.Addr.Is6)) > 0 {
		targets = append(targets, metadataIPv6) // without Bulkhead there may be no route to it
	}
	return s.sent(ctx, targets)
}

// sent lets bob's client send UDP that its own firewall must drop. The control is that it sends to its own server.
func (s *stage) sent(ctx context.Context, targets []string) (Outcome, string, error) {
	if err := s.mustArrive(ctx, s.b.client, s.b.server, s.b.server.addresses, probe.DataPort); err != nil {
		return "", "", err
	}
	answers, err := s.probe(ctx, s.b.client, app, append([]string{"send", "--token", "x"}, targets...)...)
	if err != nil {
		return "", "", err
	}
	if outcome := s.outcome(answers); outcome == Reached || refusedBySender(answers) {
		return outcome, say(answers), nil
	}
	return "", "", fmt.Errorf("nothing says that it was the pod's firewall: %s", say(answers))
}
