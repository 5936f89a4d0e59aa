package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
)

// kubeletRestarts: the firewalls of running pods do not need the kubelet.
func kubeletRestarts(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	to, from, had, dress, err := s.exposed(ctx)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, dress()) }()
	arrived, err := s.during(ctx, to, from, func() error {
		if err := restartKubelet(ctx, s); err != nil {
			return err
		}
		// It has taken up its work again when it starts a pod.
		pod, err := receiver(bob)
		_, err = s.start(ctx, pod, err)
		return err
	})
	if err != nil {
		return "", "", err
	}
	have, err := s.rules(ctx, to)
	if err == nil && !slices.Equal(have, had) {
		err = fmt.Errorf("it had %d rules and has %d", len(had), len(have))
	}
	return outcome(arrived), fmt.Sprintf("%d packets arrived; the %d rules stood", arrived, len(had)), err
}

// podRestarts: bob's pod sends from its first moment, each time that its application or all of it starts again. Alice's
// pod has no firewall, so that whatever bob sends arrives.
func podRestarts(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	to, from, err := s.opponents(ctx, nil)
	if err != nil {
		return "", "", err
	}
	dress, err := s.strip(ctx, to)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, dress()) }()
	if err := s.silent(ctx, to, from); err != nil {
		return "", "", err
	}
	arrived, err := s.during(ctx, to, from, func() error {
		if err := killed(ctx, s, from, app); err != nil {
			return err
		}
		if from, err = s.WaitPodReady(ctx, from.Namespace, from.Name); err != nil {
			return err
		}
		from, err = s.sandboxKilled(ctx, from)
		return err
	})
	return outcome(arrived), fmt.Sprintf("%d packets arrived; the application was started %d times, in two sandboxes",
		arrived, statusOf(from, app).RestartCount+1), err
}

// sandboxKilled kills the process that holds a pod's namespaces, and waits until the kubelet has made the pod anew in
// others.
func (s *stage) sandboxKilled(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	before := statusOf(pod, app).RestartCount
	pid, err := s.ContainerPID(ctx, pod, app)
	if err != nil {
		return nil, err
	}
	_, err = s.NodeExec(ctx, "/bin/sh", "-ec", `
		netns=$(readlink /proc/$0/ns/net)
		for process in /proc/[0-9]*; do
			if [ "$(readlink $process/ns/net)" = "$netns" ] && grep -q '^/pause' $process/cmdline; then
				exec kill -KILL ${process#/proc/}
			fi
		done
		exit 1`, pid)
	if err != nil {
		return nil, fmt.Errorf("kill the sandbox: %w", err)
	}
	return s.WaitPod(ctx, pod.Namespace, pod.Name, "to be made anew", func(pod *corev1.Pod) bool {
		ready := slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
			return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
		})
		return ready && statusOf(pod, app).RestartCount > before
	})
}
