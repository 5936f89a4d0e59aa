package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
)

// naiveIsKilled: a firewall that takes old rules away before it sets its own opens the pod at each restart.
func naiveIsKilled(ctx context.Context, s *stage) (results.Outcome, string, error) {
	to, from, container, err := s.behindNaive(ctx)
	if err != nil {
		return "", "", err
	}
	arrived, err := s.during(ctx, to, from, func() error { return killed(ctx, s, to, container) })
	return outcome(arrived), fmt.Sprintf("a firewall that flushes before it adds let %d packets through when it was restarted", arrived), err
}

// silent fails if anything of a stream arrives.
func (s *stage) silent(ctx context.Context, to, from *corev1.Pod) error {
	arrived, err := s.during(ctx, to, from, func() error { return nil })
	if err == nil && arrived > 0 {
		err = fmt.Errorf("%d forbidden packets arrived before anything was done", arrived)
	}
	return err
}

// way is a way for a container to die; it returns when the container runs again.
type way func(ctx context.Context, s *stage, pod *corev1.Pod, container string) error

// harmless is a foreign rule: tampering that opens nothing to the stream.
const harmless = "iptables -w -I OUTPUT -d 192.0.2.1 -j ACCEPT"

// sidecarDies: the victim's rules stand while its firewall's container is dead and while it starts again, and are
// watched again after that. The attacker has no firewall of its own.
func sidecarDies(die way) play {
	return func(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
		to, from, had, dress, err := s.exposed(ctx)
		if err != nil {
			return "", "", err
		}
		defer func() { err = errors.Join(err, dress()) }()
		arrived, err := s.during(ctx, to, from, func() error { return die(ctx, s, to, firewall) })
		if err != nil {
			return "", "", err
		}
		have, err := s.rules(ctx, to)
		if err != nil {
			return "", "", err
		}
		if !slices.Equal(have, had) {
			return "", "", fmt.Errorf("it had %d rules and has %d", len(had), len(have))
		}
		// Watched again: an added rule is taken away.
		if _, err := s.inNetwork(ctx, to, harmless); err != nil {
			return "", "", err
		}
		took, err := s.waitForRules(ctx, to, had)
		return outcome(arrived), fmt.Sprintf("%d packets arrived; the %d rules stood, and the restarted firewall repaired them in %d ms",
			arrived, len(had), took.Milliseconds()), err
	}
}

func killed(ctx context.Context, s *stage, pod *corev1.Pod, container string) error {
	before := statusOf(pod, container).RestartCount
	pid, err := s.ContainerPID(ctx, pod, container)
	if err != nil {
		return err
	}
	if _, err := s.NodeExec(ctx, "kill", "-KILL", pid); err != nil {
		return err
	}
	_, err = s.waitRestarted(ctx, pod, container, before)
	return err
}

func (s *stage) waitRestarted(ctx context.Context, pod *corev1.Pod, container string, before int32) (*corev1.Pod, error) {
	return s.WaitPod(ctx, pod.Namespace, pod.Name, "to have "+container+" restarted", func(pod *corev1.Pod) bool {
		status := statusOf(pod, container)
		return status.RestartCount > before && status.State.Running != nil
	})
}

func statusOf(pod *corev1.Pod, container string) corev1.ContainerStatus {
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if status.Name == container {
			return status
		}
	}
	return corev1.ContainerStatus{}
}

// outOfMemory gives a container no more memory than it uses, and its firewall work to do, until the kernel kills it.
func outOfMemory(ctx context.Context, s *stage, pod *corev1.Pod, container string) error {
	before := statusOf(pod, container).RestartCount
	pid, err := s.ContainerPID(ctx, pod, container)
	if err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		// A rule that lets nothing through which is sent here, but has to be taken away: by the programs of iptables, which
		// need memory. Errors are those of a container that has ended.
		for work.Err() == nil {
			_ = s.squeeze(work, pid)
			_, _ = s.inNetwork(work, pod, harmless)
			_ = sleep(work, 200*time.Millisecond)
		}
	}()
	restarted, err := s.waitRestarted(ctx, pod, container, before)
	if err != nil {
		return err
	}
	if ended := statusOf(restarted, container).LastTerminationState.Terminated; ended == nil || ended.Reason != "OOMKilled" {
		return fmt.Errorf("%s ended for another reason: %+v", container, ended)
	}
	return nil
}

// squeeze lowers the limit of a process' memory cgroup as far as the kernel lets it be lowered.
func (s *stage) squeeze(ctx context.Context, pid string) error {
	_, err := s.NodeExec(ctx, "/bin/sh", "-ec", `
		path=$(sed -n 's/^[0-9]*:memory://p' /proc/$0/cgroup)
		if [ -n "$path" ]; then # cgroup v1 refuses a limit that it cannot reclaim down to
			dir=/sys/fs/cgroup/memory$path
			limit=$(cat "$dir/memory.usage_in_bytes")
			while limit=$((limit - 65536)) && echo $limit > "$dir/memory.limit_in_bytes"; do :; done 2> /dev/null
		else # and v2 kills at once
			path=$(sed -n 's/^0:://p' /proc/$0/cgroup)
			echo 1M > "/sys/fs/cgroup$path/memory.max"
		fi`, pid)
	return err
}
