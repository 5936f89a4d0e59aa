package experiments

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodsMeasured is how many pods' starts are timed, each half; the median is reported.
const PodsMeasured = 6

// idle is a pod of alice's that does nothing.
func idle() *corev1.Pod {
	grace := int64(0)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "idle", Namespace: alice},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: &grace,
			Containers:                    []corev1.Container{{Name: "app", Image: image.ToolsName, Command: []string{"/bin/sleep", "infinity"}}},
		},
	}
}

// startIdle starts that pod, waits until it is Ready, deletes it, and returns it as it was.
func (r *run) startIdle(ctx context.Context) (*corev1.Pod, time.Duration, error) {
	began := time.Now()
	if _, err := r.cluster.Client().CoreV1().Pods(alice).Create(ctx, idle(), metav1.CreateOptions{}); err != nil {
		return nil, 0, err
	}
	pod, err := r.cluster.WaitPodReady(ctx, alice, "idle")
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(began)
	return pod, took, r.cluster.DeletePod(ctx, alice, "idle")
}

// measure takes the time from a pod's creation until it is Ready, one pod after the other. The kubelet looks once a
// second at what its containers do, so the starts are spread evenly over that second: one right after the other they
// would all meet it at the same moment of its round.
func (r *run) measure(protected bool) func(context.Context) error {
	return func(ctx context.Context) error {
		var took []time.Duration
		for i := range PodsMeasured {
			if err := waitForPhase(ctx, time.Second*time.Duration(i)/PodsMeasured); err != nil {
				return err
			}
			_, one, err := r.startIdle(ctx)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		slices.Sort(took)
		key := "podReadyWithout"
		if protected {
			key = "podReadyWith"
		}
		r.report.Time(key, (took[PodsMeasured/2-1]+took[PodsMeasured/2])/2)
		return nil
	}
}

// waitForPhase waits until so much of the current second of the clock has passed.
func waitForPhase(ctx context.Context, phase time.Duration) error {
	now := time.Now()
	next := now.Truncate(time.Second).Add(phase)
	if next.Before(now) {
		next = next.Add(time.Second)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Until(next)):
		return nil
	}
}

// uninstall checks that the cluster is as before when Bulkhead has gone: pods start, and nothing is injected.
func (r *run) uninstall(ctx context.Context) error {
	if err := install.UninstallBulkhead(ctx, r.cluster); err != nil {
		return err
	}
	pod, _, err := r.startIdle(ctx)
	if err != nil {
		return err
	}
	if injected := pod.Spec.InitContainers; len(injected) > 0 {
		return fmt.Errorf("a new pod still gets a sidecar: %v", injected)
	}
	return nil
}
