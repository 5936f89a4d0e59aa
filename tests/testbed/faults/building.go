package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
)

// nativeSidecarHangs: a native sidecar counts as started as soon as it runs, and the application starts without rules.
func nativeSidecarHangs(ctx context.Context, s *stage) (results.Outcome, string, error) {
	hangs := func(sidecar *corev1.Container) { sidecar.Command = []string{"/bin/sleep", "infinity"} }
	return s.besideNativeSidecar(ctx, "a native sidecar that hangs before its rules stand", hangs, nothingMore)
}

// postStartAndKubelet: a postStart hook holds the application back, but not after a restart of the kubelet.
func postStartAndKubelet(ctx context.Context, s *stage) (results.Outcome, string, error) {
	const forever = "86399"
	hook := func(sidecar *corev1.Container) {
		sidecar.Command = []string{"/bin/sleep", "infinity"}
		sidecar.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{
			Exec: &corev1.ExecAction{Command: []string{"/bin/sleep", forever}}}}
	}
	restart := func(ctx context.Context, s *stage) error {
		if _, err := waitForProcess(ctx, "/bin/sleep\x00"+forever+"\x00"); err != nil {
			return err
		}
		return restartKubelet(ctx, s)
	}
	return s.besideNativeSidecar(ctx, "a native sidecar whose postStart hook builds the rules, and a restarted kubelet", hook, restart)
}

// besideNativeSidecar starts bob's sender with a native sidecar that never sets rules, does something, and waits for
// what arrives.
func (s *stage) besideNativeSidecar(ctx context.Context, what string, change func(*corev1.Container), do func(context.Context, *stage) error) (results.Outcome, string, error) {
	pod, err := receiver(alice)
	to, err := s.start(ctx, pod, err)
	if err != nil {
		return "", "", err
	}
	sidecar, err := s.naive()
	if err != nil {
		return "", "", err
	}
	always := corev1.ContainerRestartPolicyAlways
	sidecar.RestartPolicy, sidecar.ReadinessProbe = &always, nil
	change(&sidecar)
	pod, err = sender(bob, []string{to.Status.PodIP})
	pod.Spec.InitContainers = append(pod.Spec.InitContainers, sidecar)
	if _, err := s.create(ctx, pod, err); err != nil {
		return "", "", err
	}
	if err := do(ctx, s); err != nil {
		return "", "", err
	}
	err = s.Wait(ctx, "bob's packets", 20*time.Second, func(ctx context.Context) error {
		seen, err := s.counts(ctx, to)
		if err == nil && seen.total() == 0 {
			err = errors.New("none has arrived")
		}
		return err
	})
	return results.Reached, what + ": the application started without rules", err
}

// buildingRules is how the command line of bulkhead-init begins.
const buildingRules = "/bulkhead-firewall\x00init\x00"

// nothingMore is what happens while the rules are built, besides that it hangs.
func nothingMore(context.Context, *stage) error { return nil }

// restartKubelet kills the kubelet and starts it again.
func restartKubelet(ctx context.Context, s *stage) error {
	if err := s.StopComponent(ctx, cluster.Kubelet, syscall.SIGKILL); err != nil {
		return err
	}
	if err := s.StartComponent(cluster.Kubelet); err != nil {
		return err
	}
	return s.WaitKubelet(ctx)
}

// buildHangs: bob's bulkhead-init is stopped while it builds the rules. Nothing of the pod starts, whatever more
// happens; when it is killed it is tried again, and only then the application starts. Alice's pod has no firewall, so
// that whatever bob sends arrives.
func buildHangs(more func(context.Context, *stage) error) play {
	return func(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
		pod, err := receiver(alice)
		to, err := s.start(ctx, pod, err)
		if err != nil {
			return "", "", err
		}
		targets, err := s.targets(ctx, to)
		if err != nil {
			return "", "", err
		}
		dress, err := s.strip(ctx, to)
		if err != nil {
			return "", "", err
		}
		defer func() { err = errors.Join(err, dress()) }()
		from, pid, err := s.startStopped(ctx, targets)
		if err != nil {
			return "", "", err
		}
		if err := s.hangs(ctx, from, more); err != nil {
			return "", "", errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return "", "", err
		}
		if from, err = s.WaitPodReady(ctx, from.Namespace, from.Name); err != nil {
			return "", "", err
		}
		if _, err := s.during(ctx, to, from, func() error { return nil }); err != nil {
			return "", "", err
		}
		arrived, err := s.counts(ctx, to)
		tries := statusOf(from, builder).RestartCount + 1
		return outcome(arrived.total()), fmt.Sprintf("%d packets arrived; the application started after %d tries to build the rules, not before",
			arrived.total(), tries), err
	}
}

// startStopped creates bob's sender and stops its bulkhead-init with SIGSTOP while that builds the rules. It takes well
// under the tenth of a second that this needs; on a busy machine it may take some tries.
func (s *stage) startStopped(ctx context.Context, targets []string) (*corev1.Pod, int, error) {
	var tries []error
	for range 5 {
		from, pid, err := s.tryStopped(ctx, targets)
		if err == nil {
			return from, pid, nil
		}
		tries = append(tries, err)
		if err := s.DeletePod(ctx, bob, "sender"); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, fmt.Errorf("stop bulkhead-init: %w", errors.Join(tries...))
}

func (s *stage) tryStopped(ctx context.Context, targets []string) (*corev1.Pod, int, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	type caught struct {
		pid int
		err error
	}
	stopped := make(chan caught, 1)
	go func() {
		pid, err := waitForProcess(ctx, buildingRules)
		if err == nil {
			err = syscall.Kill(pid, syscall.SIGSTOP)
		}
		stopped <- caught{pid, err}
	}()
	pod, err := sender(bob, targets)
	from, err := s.create(ctx, pod, err)
	c := <-stopped
	if err := errors.Join(err, c.err); err != nil {
		return nil, 0, err
	}
	if pid, err := findProcess(buildingRules); err != nil || pid != c.pid {
		return nil, 0, errors.Join(err, errors.New("it had ended"))
	}
	return from, c.pid, nil
}

// hangs fails if anything else of the pod starts while its bulkhead-init is stopped.
func (s *stage) hangs(ctx context.Context, from *corev1.Pod, more func(context.Context, *stage) error) error {
	if err := more(ctx, s); err != nil {
		return err
	}
	if err := sleep(ctx, 2*time.Second); err != nil {
		return err
	}
	// Not by the API: the kubelet may not have said yet what it has started.
	if pid, err := findProcess("/stream\x00send\x00"); err != nil || pid != 0 {
		return errors.Join(err, fmt.Errorf("the application runs as process %d", pid))
	}
	if pid, err := findProcess(buildingRules); err != nil || pid == 0 {
		return errors.Join(err, errors.New("bulkhead-init has ended: it was not stopped in time"))
	}
	return nil
}

// waitForProcess looks through the machine's processes, which the node's are among, until there is one whose command
// line begins so.
func waitForProcess(ctx context.Context, command string) (int, error) {
	for {
		pid, err := findProcess(command)
		if err != nil || pid != 0 {
			return pid, err
		}
		if err := sleep(ctx, time.Millisecond); err != nil {
			return 0, fmt.Errorf("wait for a process %q: %w", command, err)
		}
	}
}

// findProcess returns 0 if there is none.
func findProcess(command string) (int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(content), command) {
			return strconv.Atoi(filepath.Base(filepath.Dir(file)))
		}
	}
	return 0, nil
}
