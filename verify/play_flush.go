package verify

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// A cluster without Bulkhead has no firewalls to flush, so these pods bring one: rules as the thesis' sidecar sets
// them, in a container that their owner put there.

// withRules gives a pod that container.
func (s *stage) withRules(p *corev1.Pod) {
	holder := s.container(rules, "idle")
	p.Spec.Containers = append(p.Spec.Containers, holder)
	withCapabilities(len(p.Spec.Containers)-1, "NET_ADMIN")(p)
}

// appMayFlush gives the application the right to flush, which the images of many products ask for.
func appMayFlush(p *corev1.Pod) { withCapabilities(0, "NET_ADMIN", "NET_RAW")(p) }

// ruledAttacker is a pod of bob's whose rules keep it from alice's server.
func (s *stage) ruledAttacker(ctx context.Context, name string, changes ...change) (*pod, error) {
	bob, err := s.start(ctx, s.manifest(s.b.namespace, name, append(changes, s.withRules)...))
	if err != nil {
		return nil, err
	}
	return bob, s.block(ctx, bob, s.a.server, bob, s.a.server)
}

// ruledVictim is a pod of alice's whose rules keep bob's client out.
func (s *stage) ruledVictim(ctx context.Context, name string, changes ...change) (*pod, error) {
	alice, err := s.start(ctx, s.manifest(s.a.namespace, name, append(changes, s.withRules)...))
	if err != nil {
		return nil, err
	}
	return alice, s.block(ctx, alice, s.b.client, s.b.client, alice)
}

// block sets a pod's rules against another one and proves by an attempt before and after that it is they that block.
func (s *stage) block(ctx context.Context, ruled, against, from, to *pod) error {
	if err := s.mustReach(ctx, from, to.targets(probe.ServicePort)); err != nil {
		return err
	}
	command := []string{"block"}
	for _, address := range against.addresses {
		command = append(command, address.String())
	}
	if _, err := s.probe(ctx, ruled, rules, command...); err != nil {
		return err
	}
	answers, err := s.dial(ctx, from, to.targets(probe.ServicePort))
	if err == nil && anyReached(answers) {
		err = fmt.Errorf("control: the rules of %s/%s block nothing: %s", ruled.Namespace, ruled.Name, say(answers))
	}
	return err
}

// flushed flushes by a command in a container, which must do it, and tries again what was blocked.
func (s *stage) flushed(ctx context.Context, flusher *pod, container string, command []string, from, to *pod) (Outcome, string, error) {
	answers, err := s.probe(ctx, flusher, container, command...)
	if err != nil {
		return "", "", err
	}
	if !allReached(answers) {
		return Blocked, "the flush does not work: " + say(answers), nil
	}
	outcome, how, err := s.attack(ctx, from, to.targets(probe.ServicePort))
	return outcome, fmt.Sprintf("the rules blocked until %s/%s flushed them; %s", flusher.Namespace, flusher.Name, how), err
}

// attackerFlushes is experiment 6 without Bulkhead.
func attackerFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	bob, err := s.ruledAttacker(ctx, "flushes", appMayFlush)
	if err != nil {
		return "", "", err
	}
	return s.flushed(ctx, bob, app, []string{"flush"}, bob, s.a.server)
}

// attackerCannotFlush is experiment 6 with Bulkhead.
func attackerCannotFlush(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.cannotFlush(ctx, s.b.client)
}

// victimFlushes is experiment 7 without Bulkhead.
func victimFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	alice, err := s.ruledVictim(ctx, "mistake", appMayFlush)
	if err != nil {
		return "", "", err
	}
	return s.flushed(ctx, alice, app, []string{"flush"}, s.b.client, alice)
}

// victimCannotFlush is experiment 7 with Bulkhead.
func victimCannotFlush(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.cannotFlush(ctx, s.a.server)
}

// cannotFlush: an application gets no right to flush, fails without, and bob's client is still kept out.
func (s *stage) cannotFlush(ctx context.Context, flusher *pod) (Outcome, string, error) {
	asked, said, err := s.admission(ctx, s.manifest(flusher.Namespace, "net-admin", withCapabilities(0, "NET_ADMIN")), "pss-capabilities")
	if err != nil {
		return "", "", err
	}
	if asked == Reached {
		return Reached, "a pod that asks for NET_ADMIN is admitted with it", nil
	}
	answers, err := s.probe(ctx, flusher, app, "flush")
	if err != nil {
		return "", "", err
	}
	if anyReached(answers) {
		return Reached, fmt.Sprintf("%s/%s flushes its firewall without any capability", flusher.Namespace, flusher.Name), nil
	}
	alice := s.a.server.targets(probe.ServicePort)
	if err := s.mustReach(ctx, s.a.client, alice); err != nil {
		return "", "", err
	}
	outcome, how, err := s.attack(ctx, s.b.client, alice)
	return outcome, fmt.Sprintf("a pod that asks for NET_ADMIN: %s; iptables -F without: %s; then %s", said, say(answers), how), err
}

// entersAs are the changes that make a pod the attacker of experiment 8: it sees the node's processes.
func entersAs(right change) []change { return []change{withHostProc, right} }

func threeCapabilities(p *corev1.Pod) { withCapabilities(0, "SYS_ADMIN", "NET_ADMIN", "NET_RAW")(p) }

// entersPrivileged is experiment 8 without Bulkhead.
func entersPrivileged(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.enters(ctx, "privileged", privileged)
}

func entersWithCapabilities(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.enters(ctx, "capabilities", threeCapabilities)
}

// enters flushes the victim's rules from a pod on its node.
func (s *stage) enters(ctx context.Context, name string, right change) (Outcome, string, error) {
	alice, err := s.ruledVictim(ctx, "victim-"+name)
	if err != nil {
		return "", "", err
	}
	bob, err := s.start(ctx, s.manifest(s.b.namespace, name, append(entersAs(right), on(alice.Spec.NodeName))...))
	if err != nil {
		return "", "", err
	}
	return s.flushed(ctx, bob, app, []string{"flush", "--process", hostProc + "/" + alice.Name}, s.b.client, alice)
}

// privilegedIsDenied is experiment 8 with Bulkhead.
func privilegedIsDenied(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.admission(ctx, s.manifest(s.b.namespace, "privileged", entersAs(privileged)...), "pss-privileged")
}

func capabilitiesAreDenied(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.admission(ctx, s.manifest(s.b.namespace, "capabilities", entersAs(threeCapabilities)...), "pss-capabilities")
}

// debugger is what `kubectl debug --profile=netadmin` adds to a pod.
func (s *stage) debugger(p *pod) *corev1.Pod {
	changed := p.Pod.DeepCopy()
	changed.Spec.EphemeralContainers = append(changed.Spec.EphemeralContainers, corev1.EphemeralContainer{
		EphemeralContainerCommon: corev1.EphemeralContainerCommon{
			Name: "debugger", Image: s.options.Image, ImagePullPolicy: corev1.PullIfNotPresent,
			Command: []string{probe.Path, "flush"},
			SecurityContext: &corev1.SecurityContext{
				Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN", "NET_RAW"}},
			},
		},
	})
	return changed
}

// debugFlushes lets a pod's owner flush its rules by an ephemeral container.
func debugFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	bob, err := s.ruledAttacker(ctx, "debugged")
	if err != nil {
		return "", "", err
	}
	if err := s.addDebugger(ctx, bob); err != nil {
		return "", "", err
	}
	_, err = s.waitFor(ctx, bob.Namespace, bob.Name, func(p *corev1.Pod) bool {
		for _, status := range p.Status.EphemeralContainerStatuses {
			if status.State.Terminated != nil {
				return true
			}
		}
		return false
	})
	if err != nil {
		return "", "", err
	}
	answers, err := s.log(ctx, bob.Pod, "debugger")
	if err != nil {
		return "", "", err
	}
	if !allReached(answers) {
		return "", "", errors.New("the debugger's flush does not work: " + say(answers))
	}
	return s.attack(ctx, bob, s.a.server.targets(probe.ServicePort))
}

func debugIsDenied(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.judged(s.addDebugger(ctx, s.b.client, metav1.DryRunAll), "pss-capabilities")
}

// execFlushes goes into the container that holds the rules and flushes them.
func execFlushes(ctx context.Context, s *stage) (Outcome, string, error) {
	bob, err := s.ruledAttacker(ctx, "entered")
	if err != nil {
		return "", "", err
	}
	return s.flushed(ctx, bob, rules, []string{"flush"}, bob, s.a.server)
}
