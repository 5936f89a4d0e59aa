package experiments

import (
	"context"
	"fmt"
	"strings"
)

// The attack of experiment 8: find the victim's web server among the node's processes, and flush the rules of the
// network namespace that it is in. ([h]ttpd does not match this script's own command line.)
const flushByNsenter = `
for process in /hosts/proc/[0-9]*; do
	if /bin/grep -q '[h]ttpd' "$process/cmdline"; then
		exec /usr/sbin/nsenter --net="$process/ns/net" /usr/sbin/iptables -F
	fi
done
echo "no process of the victim found" >&2
exit 1
`

// attackers are the pods that can do it: with all rights, and with just those that it takes.
func attackers() []string { return []string{"privileged", "capabilities"} }

// attackerEnters is experiment 8 without Bulkhead.
func attackerEnters(ctx context.Context, s *stage) (Outcome, string, error) {
	for _, manifest := range attackers() {
		outcome, err := s.enterAs(ctx, manifest)
		if err != nil || outcome != Reached {
			return outcome, "as " + manifest, err
		}
	}
	return Reached, "the thesis' rules blocked until bob flushed them, once by a privileged pod, once by SYS_ADMIN, NET_ADMIN and NET_RAW", nil
}

func (s *stage) enterAs(ctx context.Context, manifest string) (Outcome, error) {
	pods, err := s.start(ctx, role{alice, "server", []change{s.thesisFirewall(alice)}}, role{bob, manifest, nil})
	if err != nil {
		return "", err
	}
	victim, attacker := pods[0], pods[1]
	if err := s.expect(ctx, Blocked, attacker, victim, "before the attack"); err != nil {
		return "", err
	}
	result, err := s.Exec(ctx, bob, attacker.Name, app, "/bin/sh", "-c", flushByNsenter)
	if err != nil {
		return "", err
	}
	if result.ExitCode != 0 {
		return "", fmt.Errorf("the attack as %s ended with %d: %s", manifest, result.ExitCode, strings.TrimSpace(result.Stderr))
	}
	outcome, err := s.wget(ctx, attacker, victim)
	if err != nil {
		return "", err
	}
	return outcome, s.clear(ctx)
}

// attackerIsRefused is experiment 8 with Bulkhead.
func attackerIsRefused(ctx context.Context, s *stage) (Outcome, string, error) {
	var said []string
	for _, manifest := range attackers() {
		refusal, err := s.refused(ctx, bob, manifest)
		if err != nil {
			return "", "", err
		}
		said = append(said, manifest+": "+refusal)
	}
	return Denied, strings.Join(said, "; "), nil
}

// refused fails unless a pod is refused, and returns what the API server said.
func (s *stage) refused(ctx context.Context, namespace, manifest string, changes ...change) (string, error) {
	_, err := s.start(ctx, role{namespace, manifest, changes})
	if isRefusal(err) {
		return err.Error(), nil
	}
	if err == nil {
		err = fmt.Errorf("%s's pod %s was admitted", namespace, manifest)
	}
	return "", err
}
