package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// rounds is how often an address changes hands. Package feed's own tests do it for minutes, without a kubelet.
const rounds = 6

// addressIsInherited: without Bulkhead there is nothing to inherit; whoever has an address is let in.
func addressIsInherited(ctx context.Context, s *stage) (results.Outcome, string, error) {
	return s.reuse(ctx, 1)
}

// addressIsUsedAgain: bob's pod gets the address that alice's pod had a moment ago, and sends to her other pod from its
// first instruction. Then alice gets the address back, and must get through again.
func addressIsUsedAgain(ctx context.Context, s *stage) (results.Outcome, string, error) {
	return s.reuse(ctx, rounds)
}

func (s *stage) reuse(ctx context.Context, times int) (results.Outcome, string, error) {
	pod, err := receiver(alice)
	to, err := s.start(ctx, pod, err)
	if err != nil {
		return "", "", err
	}
	targets, err := s.targets(ctx, to)
	if err != nil {
		return "", "", err
	}
	var addresses []string // that change hands; of the families that targets are of, in their order, and perhaps one more
	var waits []time.Duration
	stolen := 0
	for round := range times {
		own, err := s.hold(ctx, alice, round, targets, addresses)
		if err != nil {
			return "", "", err
		}
		if addresses == nil {
			addresses = addressesOf(own)
		}
		took, err := s.waitForPackets(ctx, to, addresses[:len(targets)])
		if err != nil {
			return "", "", fmt.Errorf("alice's own pod with the address %v, round %d: %w", addresses, round+1, err)
		}
		waits = append(waits, took)
		if err := s.endPod(ctx, own, addresses); err != nil {
			return "", "", err
		}
		before, err := s.counts(ctx, to)
		if err != nil {
			return "", "", err
		}
		other, err := s.hold(ctx, bob, round, targets, addresses)
		if err != nil {
			return "", "", err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return "", "", err
		}
		after, err := s.counts(ctx, to)
		if err != nil {
			return "", "", err
		}
		for _, address := range addresses {
			stolen += after.Received[address] - before.Received[address]
		}
		tried, err := s.counts(ctx, other)
		if err != nil {
			return "", "", err
		}
		if tried.Tried == 0 {
			return "", "", errors.New("bob's pod has sent nothing")
		}
		if err := s.endPod(ctx, other, addresses); err != nil {
			return "", "", err
		}
	}
	slices.Sort(waits)
	return outcome(stolen), fmt.Sprintf("%v changed hands %d times: %d of bob's packets arrived; alice's own pod got through %.2f s after it was Ready, median, and %.2f s at most",
		addresses, 2*times, stolen, waits[len(waits)/2].Seconds(), waits[len(waits)-1].Seconds()), nil
}

// hold starts a pod that sends to targets from its first moment, and has the addresses. On a busy machine the kubelet may
// try twice to set up its network, and use up the addresses: then another pod gets its chance.
func (s *stage) hold(ctx context.Context, namespace string, round int, targets, addresses []string) (*corev1.Pod, error) {
	for try := range 5 {
		pod, err := sender(namespace, targets)
		if err != nil {
			return nil, err
		}
		pod.Name = fmt.Sprintf("holder-%d-%d", round, try)
		running, err := s.start(ctx, pod, nil)
		if err != nil {
			return nil, err
		}
		if addresses == nil || slices.Equal(addressesOf(running), addresses) {
			return running, nil
		}
		if err := s.endPod(ctx, running, addresses); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("no pod of %s's gets the addresses %v", namespace, addresses)
}

// endPod ends a pod as a controller does, and returns as soon as its addresses can be given to another, which is before
// the API server hears of its end.
func (s *stage) endPod(ctx context.Context, pod *corev1.Pod, addresses []string) error {
	err := s.Client().CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *metav1.NewDeleteOptions(1))
	if err != nil {
		return err
	}
	return s.GiveNext(ctx, addresses)
}

func addressesOf(pod *corev1.Pod) []string {
	var addresses []string
	for _, ip := range pod.Status.PodIPs {
		addresses = append(addresses, ip.IP)
	}
	return addresses
}

// waitForPackets waits until a pod gets packets from each of the addresses, and says how long that took.
func (s *stage) waitForPackets(ctx context.Context, to *corev1.Pod, from []string) (time.Duration, error) {
	began := time.Now()
	before, err := s.counts(ctx, to)
	if err != nil {
		return 0, err
	}
	err = s.Wait(ctx, fmt.Sprintf("packets of %v", from), time.Minute, func(ctx context.Context) error {
		now, err := s.counts(ctx, to)
		if err != nil {
			return err
		}
		for _, address := range from {
			if now.Received[address] == before.Received[address] {
				return fmt.Errorf("none of %s", address)
			}
		}
		return nil
	})
	return time.Since(began), err
}
