package experiments

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// firewall is the name of the sidecar's container that watches the rules.
const firewall = "bulkhead-firewall"

// attackerFlushes is experiment 6 without Bulkhead: only the attacker's own pod has rules, and its application may
// change them, as any pod may ask for.
func attackerFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	server, attacker, err := s.opponents(ctx, nil, []change{withNetAdmin, s.thesisFirewall(bob)})
	if err != nil {
		return "", "", err
	}
	return s.flushThenWget(ctx, attacker, attacker, server)
}

// attackerCannotFlush is experiment 6 with Bulkhead: the attacker gets no right to flush, and even with its rules
// taken away from outside and their watchdog stopped the receiver's rules hold.
func attackerCannotFlush(ctx context.Context, s *stage) (Outcome, string, error) {
	if _, err := s.refused(ctx, bob, "client", withNetAdmin); err != nil {
		return "", "", err
	}
	server, attacker, err := s.opponents(ctx, nil, nil)
	if err != nil {
		return "", "", err
	}
	said, err := s.cannotFlush(ctx, attacker)
	if err != nil {
		return "", "", err
	}
	var outcome Outcome
	err = s.withoutRules(ctx, attacker, func() error {
		outcome, err = s.wget(ctx, attacker, server)
		return err
	})
	return outcome, fmt.Sprintf("NET_ADMIN is refused, iptables -F fails (%s); with bob's rules taken away from the node alice's hold", said), err
}

// victimFlushes is experiment 7 without Bulkhead: the victim's application may change its pod's rules, and does.
func victimFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	victim, attacker, err := s.opponents(ctx, []change{withNetAdmin, s.thesisFirewall(alice)}, nil)
	if err != nil {
		return "", "", err
	}
	return s.flushThenWget(ctx, victim, attacker, victim)
}

// victimCannotFlush is experiment 7 with Bulkhead: the victim's application may not, and rules that are taken away
// from outside come back.
func victimCannotFlush(ctx context.Context, s *stage) (Outcome, string, error) {
	victim, attacker, err := s.opponents(ctx, nil, nil)
	if err != nil {
		return "", "", err
	}
	said, err := s.cannotFlush(ctx, victim)
	if err != nil {
		return "", "", err
	}
	had, err := s.rules(ctx, victim)
	if err != nil {
		return "", "", err
	}
	if len(had) == 0 {
		return "", "", errors.New("alice's pod has no rules")
	}
	if err := s.forceFlush(ctx, victim); err != nil {
		return "", "", err
	}
	took, err := s.waitForRules(ctx, victim, had)
	if err != nil {
		return "", "", err
	}
	outcome, err := s.wget(ctx, attacker, victim)
	return outcome, fmt.Sprintf("iptables -F fails (%s); flushed from the node, all %d rules were seen back %d ms later",
		said, len(had), took.Milliseconds()), err
}

// thesisFirewall is withThesisFirewall with the ranges of a namespace.
func (s *stage) thesisFirewall(namespace string) change {
	return withThesisFirewall(s.Network().Ranges[namespace][0], TenantCIDRs()[0])
}

// flushThenWget lets a pod's application flush its pod's rules, which must have blocked, and tries again.
func (s *stage) flushThenWget(ctx context.Context, flusher, attacker, server *corev1.Pod) (Outcome, string, error) {
	if err := s.expect(ctx, Blocked, attacker, server, "before the flush"); err != nil {
		return "", "", err
	}
	flushed, said, err := s.flush(ctx, flusher)
	if err != nil {
		return "", "", err
	}
	if !flushed {
		return "", "", fmt.Errorf("%s's application cannot flush: %s", flusher.Namespace, said)
	}
	outcome, err := s.wget(ctx, attacker, server)
	return outcome, "the thesis' rules blocked until " + flusher.Namespace + " flushed them", err
}

// flush runs iptables -F in a pod's application, and says whether it worked or what iptables said.
func (s *stage) flush(ctx context.Context, p *corev1.Pod) (bool, string, error) {
	result, err := s.Exec(ctx, p.Namespace, p.Name, app, "/usr/sbin/iptables", "-F")
	first, _, _ := strings.Cut(strings.TrimSpace(result.Stderr), "\n")
	return result.ExitCode == 0, first, err
}

// cannotFlush fails if a pod's application can flush, and returns what iptables said if it cannot.
func (s *stage) cannotFlush(ctx context.Context, p *corev1.Pod) (string, error) {
	flushed, said, err := s.flush(ctx, p)
	if err == nil && flushed {
		err = fmt.Errorf("%s's application could flush its pod's rules", p.Namespace)
	}
	return said, err
}

// withoutRules does something while a pod has no rules: its watchdog is frozen, its rules flushed from the node.
func (s *stage) withoutRules(ctx context.Context, p *corev1.Pod, do func() error) error {
	had, err := s.rules(ctx, p)
	if err != nil {
		return err
	}
	if len(had) == 0 {
		return fmt.Errorf("%s's pod has no rules", p.Namespace)
	}
	if err := s.Freeze(ctx, p, firewall); err != nil {
		return err
	}
	if err := s.forceFlush(ctx, p); err != nil {
		return err
	}
	left, err := s.rules(ctx, p)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s's pod still has rules after the flush: %q", p.Namespace, left)
	}
	if err := do(); err != nil {
		return err
	}
	if err := s.Thaw(ctx, p, firewall); err != nil {
		return err
	}
	_, err = s.waitForRules(ctx, p, had)
	return err
}
