package faults

import (
	"context"
	"errors"
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

// inNetwork runs a shell script of the node's root in a pod's network namespace, which no tenant can.
func (s *stage) inNetwork(ctx context.Context, pod *corev1.Pod, script ...string) (string, error) {
	return s.NetnsExec(ctx, pod, app, "/bin/sh", "-ec", strings.Join(script, "\n"))
}

// flushAll takes away every rule of the filter tables, and lets the chains accept what falls through.
func flushAll() []string {
	var script []string
	for _, iptables := range backends() {
		for _, chain := range []string{"INPUT", "OUTPUT", "FORWARD"} {
			script = append(script, iptables+" -w -P "+chain+" ACCEPT")
		}
		script = append(script, iptables+" -w -F")
	}
	return script
}

// rules lists what of a pod's filter tables can hold a packet back: the first rule of each built-in chain, all rules of
// other chains, policies other than ACCEPT, and the members of sets. (A foreign rule that has been put above the firewall
// is made harmless by moving the firewall above it again.)
func (s *stage) rules(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	var script []string
	for _, iptables := range backends() {
		script = append(script, iptables+"-save -t filter")
	}
	saved, err := s.inNetwork(ctx, pod, append(script, "ipset save -sorted")...)
	return effective(saved), err
}

// effective picks from the output of iptables-save, of several tables, and of ipset.
func effective(saved string) []string {
	var rules []string
	seen := map[string]bool{}
	for line := range strings.Lines(saved) {
		line = strings.TrimSpace(line)
		fields := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "*"):
			clear(seen) // another table begins
		case strings.HasPrefix(line, ":") && strings.Contains(line, " DROP "):
			rules = append(rules, strings.Join(fields[:2], " "))
		case strings.HasPrefix(line, "add ") && !strings.Contains(line, " timeout "): // that is but the firewall's note
			rules = append(rules, line)
		case strings.HasPrefix(line, "-A "):
			chain := fields[1]
			if !slices.Contains([]string{"INPUT", "OUTPUT", "FORWARD"}, chain) || !seen[chain] {
				rules = append(rules, line)
			}
			seen[chain] = true
		}
	}
	return rules
}

// settledRules is rules of a pod that must have some, once they are the same for a while: its firewall may have to hear
// yet of pods that have just gone.
func (s *stage) settledRules(ctx context.Context, pod *corev1.Pod) (had []string, err error) {
	err = s.Wait(ctx, "the rules of "+pod.Namespace+"'s pod to settle", time.Minute, func(ctx context.Context) error {
		before := had
		if had, err = s.rules(ctx, pod); err != nil {
			return err
		}
		if len(had) == 0 || !slices.Equal(had, before) {
			return fmt.Errorf("there are %d, and were %d", len(had), len(before))
		}
		return nil
	})
	return had, err
}

// waitForRules waits until a pod has the rules again that it had, and returns how long that took.
func (s *stage) waitForRules(ctx context.Context, pod *corev1.Pod, had []string) (time.Duration, error) {
	began := time.Now()
	err := s.Wait(ctx, "the firewall's rules to come back", 40*time.Second, func(ctx context.Context) error {
		have, err := s.rules(ctx, pod)
		if err == nil && !slices.Equal(have, had) {
			err = fmt.Errorf("there are %d rules of %d", len(have), len(had))
		}
		return err
	})
	return time.Since(began), err
}

// strip takes a pod's firewall away from it, for a stand-in of a pod without one: its watchdog is frozen, its rules are
// flushed. dress gives both back, and has to be called before the pod is deleted: frozen processes do not die.
func (s *stage) strip(ctx context.Context, pod *corev1.Pod) (dress func() error, err error) {
	if !s.protected {
		return func() error { return nil }, nil
	}
	if err := s.Freeze(ctx, pod, firewall); err != nil {
		return nil, err
	}
	dress = func() error { return s.Thaw(context.WithoutCancel(ctx), pod, firewall) }
	if _, err := s.inNetwork(ctx, pod, flushAll()...); err != nil {
		return nil, errors.Join(err, dress())
	}
	left, err := s.rules(ctx, pod)
	if err == nil {
		left = slices.DeleteFunc(left, func(rule string) bool { return strings.HasPrefix(rule, "add ") })
		if len(left) > 0 {
			err = fmt.Errorf("%s's pod still has rules after the flush: %q", pod.Namespace, left)
		}
	}
	if err != nil {
		return nil, errors.Join(err, dress())
	}
	return dress, nil
}
