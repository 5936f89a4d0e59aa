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

// addressIsInherited: without Bulkhead there is nothing to inherit; whoever has an address is let in.
func addressIsInherited(ctx context.Context, s *stage) (results.Outcome, string, error) {
	return s.reuse(ctx, 2, 0)
}

// addressIsUsedAgain: the address of a tenant's pod that has just gone is given to a new pod of the other tenant, which
// sends to the pods of both from its first instruction; and so on, to and fro, as fast as pods can be made. No packet gets
// through to the other's. Two pods of ten are left until they have got through to their own.
func addressIsUsedAgain(ctx context.Context, s *stage) (results.Outcome, string, error) {
	return s.reuse(ctx, 10, s.reuseFor)
}

// reuse lets an address change hands so often and for so long at least.
func (s *stage) reuse(ctx context.Context, often int, long time.Duration) (results.Outcome, string, error) {
	r := &reuse{stage: s}
	for i, namespace := range []string{alice, bob} {
		pod, err := receiver(namespace)
		if r.receivers[i], err = s.start(ctx, pod, err); err != nil {
			return "", "", err
		}
		targets, err := s.targets(ctx, r.receivers[i])
		if err != nil {
			return "", "", err
		}
		r.targets = append(r.targets, targets...)
	}
	for began := time.Now(); r.turns < often || time.Since(began) < long; r.turns++ {
		if err := r.turn(ctx); err != nil {
			return "", "", fmt.Errorf("turn %d, addresses %v: %w", r.turns+1, r.addresses, err)
		}
	}
	detail := fmt.Sprintf("%v changed hands %d times: of more than %d packets to the other tenant's pod %d arrived", r.addresses, r.turns, r.tried, r.stolen)
	if len(r.sinceStart) > 0 {
		detail += fmt.Sprintf("; %d new pods got through to their own %s after their first instruction, and %s after their creation",
			len(r.sinceStart), spread(r.sinceStart), spread(r.sinceCreation))
	}
	return outcome(r.stolen), detail, nil
}

// reuse is one address, or one of each family, in changing hands.
type reuse struct {
	*stage
	receivers [2]*corev1.Pod // alice's and bob's
	targets   []string       // the addresses of both, as many of each
	addresses []string       // that change hands; of the families that targets are of, in their order, and perhaps one more

	turns, tried, stolen      int
	sinceStart, sinceCreation []time.Duration // until a new pod's packets arrived at its own tenant's
}

// turn gives the addresses to a new pod, of each tenant by turns.
func (r *reuse) turn(ctx context.Context) error {
	own, other := r.receivers[r.turns%2], r.receivers[1-r.turns%2]
	ownBefore, err := r.counts(ctx, own)
	if err != nil {
		return err
	}
	otherBefore, err := r.counts(ctx, other)
	if err != nil {
		return err
	}
	holder, created, err := r.hold(ctx, own.Namespace)
	if err != nil {
		return err
	}
	if r.addresses == nil {
		r.addresses = addressesOf(holder)
	}
	var arrived time.Time
	if patient := r.turns%10 >= 8; patient {
		if arrived, err = r.waitForPackets(ctx, own, ownBefore, r.addresses[:len(r.targets)/2]); err != nil {
			return fmt.Errorf("%s's own pod: %w", own.Namespace, err)
		}
	}
	sent, err := r.counts(ctx, holder)
	if err != nil {
		return err
	}
	if sent.Tried == 0 {
		return errors.New("the new pod has sent nothing")
	}
	if !arrived.IsZero() {
		r.sinceStart = append(r.sinceStart, arrived.Sub(sent.Began))
		r.sinceCreation = append(r.sinceCreation, arrived.Sub(created))
	}
	if err := r.endPod(ctx, holder, r.addresses); err != nil {
		return err
	}
	otherAfter, err := r.counts(ctx, other)
	if err != nil {
		return err
	}
	r.tried += sent.Tried / 2             // to each target as many
	for _, address := range r.addresses { // another try to hold them, of the same tenant, may have lived until now
		r.stolen += otherAfter.Received[address] - otherBefore.Received[address]
	}
	return nil
}

// hold starts a pod that sends to all targets from its first moment, and has the addresses. On a busy machine the kubelet
// may try twice to set up its network, and use up the addresses: then another pod gets its chance.
func (r *reuse) hold(ctx context.Context, namespace string) (_ *corev1.Pod, created time.Time, _ error) {
	for try := range 5 {
		pod, err := sender(namespace, r.targets)
		if err != nil {
			return nil, created, err
		}
		pod.Name = fmt.Sprintf("holder-%d-%d", r.turns, try)
		created = time.Now()
		running, err := r.start(ctx, pod, nil)
		if err != nil {
			return nil, created, err
		}
		if r.addresses == nil || slices.Equal(addressesOf(running), r.addresses) {
			return running, created, nil
		}
		if err := r.endPod(ctx, running, r.addresses); err != nil {
			return nil, created, err
		}
	}
	return nil, created, fmt.Errorf("no pod of %s's gets them", namespace)
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

// waitForPackets waits until a pod gets packets from each of the addresses, and says when the last of them began to come.
func (s *stage) waitForPackets(ctx context.Context, to *corev1.Pod, before counts, from []string) (time.Time, error) {
	var last time.Time
	err := s.Wait(ctx, fmt.Sprintf("packets of %v", from), time.Minute, func(ctx context.Context) error {
		now, err := s.counts(ctx, to)
		if err != nil {
			return err
		}
		for _, address := range from {
			if now.Received[address] == before.Received[address] {
				return fmt.Errorf("none of %s", address)
			}
			if since := now.Since[address]; since.After(last) {
				last = since
			}
		}
		return nil
	})
	return last, err
}

// spread says how long something took, in the middle and at worst.
func spread(took []time.Duration) string {
	slices.Sort(took)
	at := func(percent int) float64 { return took[len(took)*percent/100].Seconds() }
	return fmt.Sprintf("%.3f s (p50), %.3f s (p99), %.3f s (at most)", at(50), at(99), took[len(took)-1].Seconds())
}
