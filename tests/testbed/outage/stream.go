package outage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
)

// good is the name of good pods.
const good = "good"

// pause is what a tenant waits between two pods.
const pause = 30 * time.Millisecond

// Outcome is what became of a pod.
type Outcome string

// The outcomes.
const (
	Admitted   Outcome = "admitted"
	Unguarded  Outcome = "admitted without a firewall"
	Refused    Outcome = "refused by a rule"
	Unanswered Outcome = "refused as no webhook answered"
	Away       Outcome = "no answer of the API server, or of one that does not know Tenants yet"
	Lost       Outcome = "something else"
)

// stream creates pods of several kinds, each kind without a pause.
type stream struct {
	client  kubernetes.Interface
	senders sync.WaitGroup

	mu     sync.Mutex
	counts *counts
}

// counts are the outcomes of one phase.
type counts struct {
	stream    *stream
	Good, Bad map[Outcome]int
	// Errors are examples, one for each outcome.
	Errors map[Outcome]string
	// Silent is the time from the first pod to the last that no webhook answered for.
	Silent      time.Duration
	silentSince time.Time
}

func newCounts(s *stream) *counts {
	return &counts{stream: s, Good: map[Outcome]int{}, Bad: map[Outcome]int{}, Errors: map[Outcome]string{}}
}

// startStream starts to create pods, until the context ends.
func startStream(ctx context.Context, c *cluster.Cluster) (*stream, error) {
	config := c.RESTConfig()
	config.Timeout = 10 * time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	s := &stream{client: client}
	s.counts = newCounts(s)
	for _, pod := range []*corev1.Pod{ordinary(alice), attack(alice), unconfined(alice)} {
		s.senders.Go(func() {
			for sleep(ctx, pause) == nil {
				s.send(ctx, pod)
			}
		})
	}
	return s, nil
}

func (s *stream) wait() { s.senders.Wait() }

// count begins to count anew.
func (s *stream) count() *counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts = newCounts(s)
	return s.counts
}

// close returns the counts as they are now.
func (c *counts) close() counts {
	c.stream.mu.Lock()
	defer c.stream.mu.Unlock()
	closed := *c
	c.stream.counts = newCounts(c.stream)
	return closed
}

// send creates a pod for a trial. It counts for the phase in which it was sent.
func (s *stream) send(ctx context.Context, pod *corev1.Pod) {
	s.mu.Lock()
	counts := s.counts
	s.mu.Unlock()
	created, err := s.try(ctx, pod)
	if ctx.Err() != nil {
		return
	}
	outcome := outcomeOf(created, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome == Unanswered {
		if counts.silentSince.IsZero() {
			counts.silentSince = time.Now()
		}
		counts.Silent = time.Since(counts.silentSince)
	}
	to := counts.Bad
	if pod.Name == good {
		to = counts.Good
	}
	if to[outcome]++; err != nil && counts.Errors[outcome] == "" {
		counts.Errors[outcome] = err.Error()
	}
}

func (s *stream) try(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return s.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

func outcomeOf(created *corev1.Pod, err error) Outcome {
	var netErr net.Error
	switch {
	case err == nil && len(created.Spec.InitContainers) >= 2 && created.Spec.InitContainers[1].Name == "bulkhead-firewall":
		return Admitted
	case err == nil:
		return Unguarded
	// A new API server looks for custom resources every half minute, and refuses by
	// a policy whose parameters it has not found until then.
	case strings.Contains(err.Error(), "failed to find resource referenced by paramKind"):
		return Away
	case apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "denied the request") || strings.Contains(err.Error(), "denied request: ")):
		return Refused
	case strings.Contains(err.Error(), "failed calling webhook"):
		return Unanswered
	case apierrors.IsServiceUnavailable(err), apierrors.IsServerTimeout(err), apierrors.IsTooManyRequests(err),
		utilnet.IsConnectionRefused(err), utilnet.IsConnectionReset(err), utilnet.IsProbableEOF(err), errors.As(err, &netErr),
		strings.Contains(err.Error(), "not yet ready to handle request"), strings.Contains(err.Error(), "apiserver is shutting down"):
		return Away
	}
	return Lost
}

// ordinary is a good pod.
func ordinary(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: good},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "registry.local/none"}}},
	}
}

// attack is experiment 8's pod: the policy in the API server knows it, and so does the webhook.
func attack(namespace string) *corev1.Pod {
	pod := ordinary(namespace)
	pod.Name = "attack"
	pod.Spec.HostPID = true
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	return pod
}

// unconfined is a pod that is the webhook's alone to refuse.
func unconfined(namespace string) *corev1.Pod {
	pod := ordinary(namespace)
	pod.Name = "unconfined"
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}
	return pod
}

// refusedBy fails unless a pod is refused with these words.
func (s *stream) refusedBy(ctx context.Context, pod *corev1.Pod, words string) error {
	_, err := s.try(ctx, pod)
	if err == nil {
		return fmt.Errorf("a pod was admitted that must be refused with %q", words)
	}
	if !strings.Contains(err.Error(), words) {
		return fmt.Errorf("a pod was refused, but not with %q: %w", words, err)
	}
	return nil
}
