package experiments

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// backends are the four iptables; what one has set the others neither show nor flush.
func backends() []string {
	return []string{"iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"}
}

// forceFlush takes away every rule of a pod's filter tables from the node, which no tenant can, and lets the chains
// accept what falls through.
func (s *stage) forceFlush(ctx context.Context, p *corev1.Pod) error {
	var script []string
	for _, iptables := range backends() {
		for _, chain := range []string{"INPUT", "OUTPUT", "FORWARD"} {
			script = append(script, iptables+" -w -P "+chain+" ACCEPT")
		}
		script = append(script, iptables+" -w -F")
	}
	_, err := s.NetnsExec(ctx, p, app, "/bin/sh", "-ec", strings.Join(script, "\n"))
	return err
}

// rules lists what of a pod's filter tables can hold a packet back: all rules, and policies other than ACCEPT.
func (s *stage) rules(ctx context.Context, p *corev1.Pod) ([]string, error) {
	var script []string
	for _, iptables := range backends() {
		script = append(script, iptables+"-save -t filter")
	}
	saved, err := s.NetnsExec(ctx, p, app, "/bin/sh", "-ec", strings.Join(script, "\n"))
	if err != nil {
		return nil, err
	}
	var rules []string
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "-A ") || (strings.HasPrefix(line, ":") && strings.Contains(line, " DROP ")) {
			rules = append(rules, strings.SplitN(line, " [", 2)[0])
		}
	}
	return rules, nil
}

// waitForRules waits until a pod has the rules again that it had, and returns how long that took.
func (s *stage) waitForRules(ctx context.Context, p *corev1.Pod, had []string) (time.Duration, error) {
	began := time.Now()
	err := s.Wait(ctx, "the firewall's rules to come back", 30*time.Second, func(ctx context.Context) error {
		have, err := s.rules(ctx, p)
		if err == nil && !slices.Equal(have, had) {
			err = fmt.Errorf("there are %d rules of %d", len(have), len(had))
		}
		return err
	})
	return time.Since(began), err
}
