package faults

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The chart's deployment, how many replicas it has, and its lease.
const (
	webhook  = "bulkhead-webhook"
	replicas = 2
	lease    = 15 * time.Second
)

// dnsAddress is that of the Service of install/dns.yaml.
const dnsAddress = "10.96.0.10"

// pair are two of alice's pods, one of which talks to the other by one connection all along, and bob's sender, which has
// no firewall of its own.
type pair struct {
	server, talker, outsider *corev1.Pod
	dress                    func() error
}

func (s *stage) pair(ctx context.Context) (*pair, error) {
	p := &pair{}
	var err error
	if p.server, p.outsider, _, p.dress, err = s.exposed(ctx); err != nil {
		return nil, err
	}
	manifest, err := s.talker(p.server)
	if p.talker, err = s.start(ctx, manifest, err); err == nil {
		err = s.talks(ctx, p.talker)
	}
	if err != nil {
		return nil, errors.Join(err, p.dress())
	}
	return p, nil
}

// talker is a pod of alice's that holds one connection to another.
func (s *stage) talker(to *corev1.Pod) (*corev1.Pod, error) {
	pod, err := receiver(alice)
	pod.Name = "talker"
	pod.Spec.Containers[0].Command = []string{"/stream", "talk", target(to)}
	return pod, err
}

func target(pod *corev1.Pod) string { return net.JoinHostPort(pod.Status.PodIP, streamPort) }

// talks waits until the one connection brings answers.
func (s *stage) talks(ctx context.Context, talker *corev1.Pod) error {
	before, err := s.counts(ctx, talker)
	if err != nil {
		return err
	}
	return s.Wait(ctx, "answers on the connection that is open", time.Minute, func(ctx context.Context) error {
		now, err := s.counts(ctx, talker)
		if err == nil && now.total() == before.total() {
			err = errors.New("none")
		}
		return err
	})
}

// dial opens a connection in one pod's network to another's.
func (s *stage) dial(ctx context.Context, from *corev1.Pod, target string) error {
	_, err := s.NetnsExec(ctx, from, app, build.Stream, "dial", target)
	return err
}

// dials waits until a connection can be opened, and says how long that took.
func (s *stage) dials(ctx context.Context, from *corev1.Pod, target string) (time.Duration, error) {
	began := time.Now()
	err := s.Wait(ctx, from.Namespace+"'s pod to reach "+target, time.Minute, func(ctx context.Context) error { return s.dial(ctx, from, target) })
	return time.Since(began), err
}

// feedGone: within the lease all goes on; past it nobody new is admitted, what is open between live peers stays open,
// and Services of the own tenant go on; when the webhook is back all is as before. The outsider is out all the time.
func feedGone(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	p, err := s.pair(ctx)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, p.dress()) }()
	var lapsed, back time.Duration
	arrived, err := s.during(ctx, p.server, p.outsider, func() (err error) {
		if err := s.scale(ctx, 0); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				err = errors.Join(err, s.scale(context.WithoutCancel(ctx), replicas))
			}
		}()
		if lapsed, err = s.waitForLapse(ctx, p); err != nil {
			return err
		}
		if err := s.talks(ctx, p.talker); err != nil {
			return fmt.Errorf("past the lease: %w", err)
		}
		if err := s.resolves(ctx, p.talker); err != nil {
			return fmt.Errorf("past the lease: %w", err)
		}
		if err := s.scale(ctx, replicas); err != nil {
			return err
		}
		if back, err = s.dials(ctx, p.talker, target(p.server)); err != nil {
			return fmt.Errorf("when the webhook is back: %w", err)
		}
		return s.talks(ctx, p.talker)
	})
	if err != nil {
		return "", "", err
	}
	event, err := s.waitForEvent(ctx, p.server, "FeedLapsed")
	return outcome(arrived), fmt.Sprintf("%d of the outsider's packets arrived; %.0f s after the last replica had gone nobody new was admitted, the open connection stayed open, and new ones opened %.1f s after two replicas were Ready again; Event: %s",
		arrived, lapsed.Seconds(), back.Seconds(), event), err
}

// waitForLapse waits until no connection can be opened any more, but no less than a lease: on a busy machine one may fail
// for another reason.
func (s *stage) waitForLapse(ctx context.Context, p *pair) (time.Duration, error) {
	gone, refused := time.Now(), time.Duration(0)
	err := s.Wait(ctx, "the lease to be over", 2*time.Minute, func(ctx context.Context) error {
		if err := s.dial(ctx, p.talker, target(p.server)); err == nil {
			refused = 0
			return errors.New("new connections are still let in")
		}
		if refused == 0 {
			refused = time.Since(gone)
		}
		if time.Since(gone) < lease+time.Second {
			return errors.New("a lease has not passed yet")
		}
		return ctx.Err()
	})
	return refused, err
}

// resolves asks the cluster's DNS by its Service.
func (s *stage) resolves(ctx context.Context, from *corev1.Pod) error {
	return s.Wait(ctx, "an answer of the cluster's DNS", time.Minute, func(ctx context.Context) error {
		_, err := s.NetnsExec(ctx, from, app, "/bin/busybox", "nslookup", "kubernetes.default.svc.cluster.local", dnsAddress)
		return err
	})
}

// scale sets the webhook's replicas, and waits until so many are Ready and no other is there.
func (s *stage) scale(ctx context.Context, count int) error {
	s.alone = true
	if _, err := s.Kubectl(ctx, "scale", "--namespace", install.Namespace, "deployment/"+webhook, "--replicas="+strconv.Itoa(count)); err != nil {
		return err
	}
	err := s.Wait(ctx, strconv.Itoa(count)+" replicas of the webhook", 2*time.Minute, func(ctx context.Context) error {
		pods, err := s.Client().CoreV1().Pods(install.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + webhook})
		if err != nil {
			return err
		}
		ready := 0
		for _, pod := range pods.Items {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		if len(pods.Items) != count || ready != count {
			return fmt.Errorf("%d of %d are Ready", ready, len(pods.Items))
		}
		return nil
	})
	if err != nil || count == 0 {
		return err
	}
	// kube-proxy hears of them a moment later.
	err = s.Wait(ctx, "the webhook to be asked", time.Minute, func(ctx context.Context) error {
		pod, err := receiver(alice)
		if err != nil {
			return err
		}
		_, err = s.Client().CoreV1().Pods(alice).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if apierrors.IsAlreadyExists(err) {
			err = nil // it was admitted
		}
		return err
	})
	s.alone = err != nil
	return err
}

// upgrade: all replicas are replaced by ones with another configuration, while alice's pods, old and new, go on.
func upgrade(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	p, err := s.pair(ctx)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, p.dress()) }()
	started := 0
	var longest time.Duration
	arrived, err := s.during(ctx, p.server, p.outsider, func() error {
		ended := make(chan error, 1)
		go func() { ended <- s.roll(ctx) }()
		for {
			pod, err := receiver(alice)
			pod.Name = "new-" + strconv.Itoa(started)
			running, err := s.start(ctx, pod, err)
			if err != nil {
				return errors.Join(err, <-ended)
			}
			started++
			for _, way := range []struct{ from, to *corev1.Pod }{{p.talker, running}, {running, p.server}} {
				took, err := s.dials(ctx, way.from, target(way.to))
				if err != nil {
					return errors.Join(err, <-ended)
				}
				longest = max(longest, took)
			}
			select {
			case err := <-ended:
				return errors.Join(err, s.talks(ctx, p.talker))
			default:
			}
		}
	})
	return outcome(arrived), fmt.Sprintf("%d of the outsider's packets arrived; the open connection stayed open; %d pods started meanwhile, and old and new reached each other within %.1f s of Ready",
		arrived, started, longest.Seconds()), err
}

// roll replaces the webhook's pods, as an upgrade of the chart does, and returns when only new ones are left.
func (s *stage) roll(ctx context.Context) error {
	_, err := s.Kubectl(ctx, "rollout", "restart", "--namespace", install.Namespace, "deployment/"+webhook)
	if err == nil {
		_, err = s.Kubectl(ctx, "rollout", "status", "--namespace", install.Namespace, "deployment/"+webhook, "--timeout=2m")
	}
	if err != nil {
		return fmt.Errorf("upgrade the webhook: %w", err)
	}
	return nil
}
