package verify

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// TestWaitForGivesUpOnAnImage: one that is not to be had ends the wait long before the run's time does, and whatever
// else a pod waits for does not.
func TestWaitForGivesUpOnAnImage(t *testing.T) {
	for reason, want := range map[string]struct {
		took time.Duration
		said string
	}{
		"ErrImagePull":      {imagePatience + pollInterval, "an image was not to be had for 30s"},
		"ImagePullBackOff":  {imagePatience + pollInterval, "an image was not to be had for 30s"},
		"ContainerCreating": {5 * time.Minute, "deadline exceeded"},
	} {
		t.Run(reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "no such host"}}
				r := run{options: Options{Baseline: true}, client: fake.NewClientset(&corev1.Pod{
					ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "server"},
					Status:     corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{Name: app, State: waiting}}},
				})}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				began := time.Now()
				_, err := r.waitFor(ctx, "a", "server", isReady)
				if took := time.Since(began); took > want.took {
					t.Errorf("it took %s", took)
				}
				for _, part := range []string{"a/server", want.said, "container app waits: " + reason + " no such host"} {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("%v says nothing of %q", err, part)
					}
				}
			})
		})
	}
}

// TestToldWithoutBulkhead: an attack that works is not told as a pass.
func TestToldWithoutBulkhead(t *testing.T) {
	worked := Result{Seen: Reached, Verdict: Pass}
	if got := worked.told(false); got != "reached" {
		t.Errorf("without Bulkhead: %s", got)
	}
	if got := worked.told(true); got != "pass" {
		t.Errorf("with Bulkhead, of what must work: %s", got)
	}
	if got := (Result{Seen: Blocked, Verdict: Fail}).told(false); got != "FAIL" {
		t.Errorf("an attack that something else stops: %s", got)
	}
}
