package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// thesisRulesFlushed: rules that nobody watches are gone for good.
func thesisRulesFlushed(ctx context.Context, s *stage) (results.Outcome, string, error) {
	to, from, _, err := s.behindNaive(ctx)
	if err != nil {
		return "", "", err
	}
	if _, err := s.inNetwork(ctx, to, flushAll()...); err != nil {
		return "", "", err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return "", "", err
	}
	arrived, err := s.during(ctx, to, from, func() error { return nil })
	return outcome(arrived), fmt.Sprintf("the thesis' rules were still gone after 2 s: %d packets in 300 ms", arrived), err
}

// tamper is a way to take the effect of rules away.
type tamper struct {
	name   string
	script []string
}

func tampers() []tamper {
	return []tamper{
		{"all rules flushed", flushAll()},
		{"an ACCEPT put above them", []string{
			"iptables -w -I INPUT -j ACCEPT", "iptables -w -I OUTPUT -j ACCEPT",
			"ip6tables -w -I INPUT -j ACCEPT", "ip6tables -w -I OUTPUT -j ACCEPT"}},
		{"the jump deleted", []string{
			"iptables -w -P INPUT ACCEPT", "iptables -w -D INPUT 1", "ip6tables -w -P INPUT ACCEPT", "ip6tables -w -D INPUT 1"}},
		{"policies changed", []string{"iptables -w -P INPUT ACCEPT", "iptables -w -P OUTPUT ACCEPT"}},
		{"tables dropped through nft", []string{"nft flush ruleset"}},
		{"sets emptied", []string{"for set in $(ipset list -name); do ipset flush $set; done"}},
	}
}

// tampering: whatever the node's root does to a pod's rules, they come back, and forbidden packets are blocked again.
// People are told: by an Event of the pod, and by a metric that counts each.
func tampering(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	to, from, had, dress, err := s.exposed(ctx)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, dress()) }()
	if err := s.silent(ctx, to, from); err != nil {
		return "", "", err
	}
	counted, err := s.tamperings(ctx, alice)
	if err != nil {
		return "", "", err
	}
	var details []string
	left := 0
	for _, kind := range tampers() {
		var took time.Duration
		// What arrives before the guard stands is said; what matters is that nothing does after the repair.
		arrived, err := s.during(ctx, to, from, func() error {
			if _, err := s.inNetwork(ctx, to, kind.script...); err != nil {
				return err
			}
			took, err = s.waitForRules(ctx, to, had)
			return err
		})
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", kind.name, err)
		}
		details = append(details, fmt.Sprintf("%s: seen whole after %d ms, %d packets before the guard", kind.name, took.Milliseconds(), arrived))
		after, err := s.during(ctx, to, from, func() error { return nil })
		if err != nil {
			return "", "", err
		}
		left += after
	}
	event, err := s.waitForEvent(ctx, to, "FirewallTampered")
	if err != nil {
		return "", "", err
	}
	err = s.Wait(ctx, "the metric of tamperings", 20*time.Second, func(ctx context.Context) error {
		now, err := s.tamperings(ctx, alice)
		if err == nil && now-counted < len(tampers()) {
			err = fmt.Errorf("it has counted %d of %d", now-counted, len(tampers()))
		}
		return err
	})
	details = append(details, fmt.Sprintf("counted all %d, reported as an Event: %s", len(tampers()), event))
	return outcome(left), strings.Join(details, "; "), err
}

// waitForEvent waits for an Event of a pod and returns its message.
func (s *stage) waitForEvent(ctx context.Context, pod *corev1.Pod, reason string) (string, error) {
	var message string
	err := s.Wait(ctx, "an Event "+reason, 30*time.Second, func(ctx context.Context) error {
		events, err := s.Client().CoreV1().Events(pod.Namespace).List(ctx, metav1.ListOptions{
			FieldSelector: "involvedObject.name=" + pod.Name + ",reason=" + reason})
		if err != nil {
			return err
		}
		if len(events.Items) == 0 {
			return errors.New("there is none")
		}
		message = events.Items[0].Message
		return nil
	})
	return message, err
}
