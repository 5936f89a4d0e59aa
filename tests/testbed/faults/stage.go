package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stage is where a fault is played: the cluster, without or with Bulkhead in it.
type stage struct {
	*cluster.Cluster
	protected bool          // Bulkhead is installed, and alice and bob are tenants
	alone     bool          // the webhook is gone, so that nobody execs into a tenant's pod
	reuseFor  time.Duration // how long an address changes hands
}

// create creates a pod. On a busy machine a webhook may not have answered in time.
func (s *stage) create(ctx context.Context, pod *corev1.Pod, err error) (*corev1.Pod, error) {
	if err != nil {
		return nil, err
	}
	var created *corev1.Pod
	waited := s.Wait(ctx, "the webhooks to answer", time.Minute, func(ctx context.Context) error {
		created, err = s.Client().CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
		if apierrors.IsInternalError(err) && strings.Contains(err.Error(), "failed calling webhook") {
			return err
		}
		return nil
	})
	if waited != nil {
		return nil, waited
	}
	return created, err
}

// start creates a pod and waits until it is Ready.
func (s *stage) start(ctx context.Context, pod *corev1.Pod, err error) (*corev1.Pod, error) {
	created, err := s.create(ctx, pod, err)
	if err != nil {
		return nil, err
	}
	return s.WaitPodReady(ctx, created.Namespace, created.Name)
}

// clear removes all pods of both tenants.
func (s *stage) clear(ctx context.Context) error {
	var errs []error
	for _, namespace := range []string{alice, bob, ingress} {
		pods, err := s.Client().CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pod := range pods.Items {
			errs = append(errs, s.DeletePod(ctx, namespace, pod.Name))
		}
	}
	return errors.Join(errs...)
}

// targets are the addresses of a pod that are sent to: with Bulkhead all of all its interfaces. Without only the first,
// IPv4, which is all that the firewall to compare with knows of.
func (s *stage) targets(ctx context.Context, pod *corev1.Pod) ([]string, error) {
	if !s.protected {
		return []string{pod.Status.PodIP}, nil
	}
	listed, err := s.Exec(ctx, pod.Namespace, pod.Name, app, "/bin/ip", "-o", "address", "show", "scope", "global")
	if err != nil {
		return nil, err
	}
	var addresses []string
	for line := range strings.Lines(listed.Stdout) {
		// 2: eth0    inet 172.16.1.2/24 brd …
		if fields := strings.Fields(line); len(fields) > 3 && strings.HasPrefix(fields[2], "inet") {
			address, _, _ := strings.Cut(fields[3], "/")
			addresses = append(addresses, address)
		}
	}
	if len(addresses) < len(pod.Status.PodIPs) {
		return nil, fmt.Errorf("the pod %s/%s lists the addresses %q only", pod.Namespace, pod.Name, listed.Stdout)
	}
	return addresses, nil
}

// opponents starts alice's receiver and bob's sender to it.
func (s *stage) opponents(ctx context.Context, change func(*corev1.Pod) error) (to, from *corev1.Pod, err error) {
	pod, err := receiver(alice)
	if err == nil && change != nil {
		err = change(pod)
	}
	if to, err = s.start(ctx, pod, err); err != nil {
		return nil, nil, err
	}
	targets, err := s.targets(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	pod, err = sender(bob, targets)
	from, err = s.start(ctx, pod, err)
	return to, from, err
}

// counts are those of node/stream.
type counts struct {
	Tried    int                  `json:"tried"`
	Received map[string]int       `json:"received"`
	Began    time.Time            `json:"began"`
	Since    map[string]time.Time `json:"since"`
}

func (c counts) total() int {
	total := 0
	for _, packets := range c.Received {
		total += packets
	}
	return total
}

func (s *stage) counts(ctx context.Context, pod *corev1.Pod) (counts, error) {
	ask := []string{"/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:7001/"}
	var said string
	var err error
	if s.alone {
		said, err = s.NetnsExec(ctx, pod, app, ask...)
	} else {
		var result cluster.ExecResult
		result, err = s.Exec(ctx, pod.Namespace, pod.Name, app, ask...)
		said = result.Stdout + result.Stderr
	}
	if err != nil {
		return counts{}, err
	}
	var seen counts
	if err := json.Unmarshal([]byte(said), &seen); err != nil {
		return counts{}, fmt.Errorf("the counts of %s/%s: %w: %s", pod.Namespace, pod.Name, err, said)
	}
	return seen, nil
}

// during counts what of a stream arrives while something is done, and for a moment longer. It fails if the stream does
// not run at its end.
func (s *stage) during(ctx context.Context, to, from *corev1.Pod, do func() error) (int, error) {
	before, err := s.counts(ctx, to)
	if err != nil {
		return 0, err
	}
	if err := do(); err != nil {
		return 0, err
	}
	sentBefore, err := s.counts(ctx, from)
	if err != nil {
		return 0, err
	}
	if err := sleep(ctx, 300*time.Millisecond); err != nil {
		return 0, err
	}
	sent, err := s.counts(ctx, from)
	if err != nil {
		return 0, err
	}
	if sent.Tried-sentBefore.Tried < 50 {
		return 0, fmt.Errorf("the stream has stopped: %d packets in the last 300 ms", sent.Tried-sentBefore.Tried)
	}
	after, err := s.counts(ctx, to)
	return after.total() - before.total(), err
}

func sleep(ctx context.Context, duration time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(duration):
		return nil
	}
}

// outcome of a number of forbidden packets that arrived.
func outcome(arrived int) results.Outcome {
	if arrived > 0 {
		return results.Reached
	}
	return results.Blocked
}

// unprotected is the half without Bulkhead where there is nothing that the fault could do worse: alice's pod has no
// firewall, and the stream arrives.
func unprotected(ctx context.Context, s *stage) (results.Outcome, string, error) {
	to, from, err := s.opponents(ctx, nil)
	if err != nil {
		return "", "", err
	}
	arrived, err := s.during(ctx, to, from, func() error { return nil })
	return outcome(arrived), fmt.Sprintf("no firewall: %d packets in 300 ms", arrived), err
}

// behindNaive starts opponents of whom the victim has a firewall without a guard, the container named, and proves
// that it holds.
func (s *stage) behindNaive(ctx context.Context) (to, from *corev1.Pod, name string, err error) {
	container, err := s.naive()
	if err != nil {
		return nil, nil, "", err
	}
	to, from, err = s.opponents(ctx, func(pod *corev1.Pod) error {
		pod.Spec.Containers = append(pod.Spec.Containers, container)
		return nil
	})
	if err != nil {
		return nil, nil, "", err
	}
	return to, from, container.Name, s.silent(ctx, to, from)
}

// exposed starts opponents of whom the victim has rules, which it returns when they change no more, and the attacker has
// none until it is dressed again.
func (s *stage) exposed(ctx context.Context) (to, from *corev1.Pod, had []string, dress func() error, err error) {
	if to, from, err = s.opponents(ctx, nil); err != nil {
		return nil, nil, nil, nil, err
	}
	if had, err = s.settledRules(ctx, to); err != nil {
		return nil, nil, nil, nil, err
	}
	dress, err = s.strip(ctx, from)
	return to, from, had, dress, err
}
