package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/remotecommand"
	watchtools "k8s.io/client-go/tools/watch"
	utilexec "k8s.io/client-go/util/exec"
)

// podDeadline is more than any pod of the test bed needs, on a busy machine too: its images are on the node.
const podDeadline = 2 * time.Minute

// WaitPodReady waits until a pod is Ready and returns it as it then is.
func (c *Cluster) WaitPodReady(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	return c.WaitPod(ctx, namespace, name, "to be Ready", isReady)
}

// WaitPod watches a pod until the condition holds and returns it as it then is; what completes the sentence "wait for
// the pod …" in an error, which also holds the pod's last state.
func (c *Cluster) WaitPod(ctx context.Context, namespace, name, what string, condition func(*corev1.Pod) bool) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, podDeadline)
	defer cancel()
	var last *corev1.Pod
	_, err := watchtools.UntilWithSync(ctx, c.podWatch(namespace, name), &corev1.Pod{}, nil, func(event watch.Event) (bool, error) {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok || event.Type == watch.Deleted {
			return false, errors.New("it was deleted")
		}
		last = pod
		return condition(pod), nil
	})
	if err != nil {
		return nil, fmt.Errorf("wait for the pod %s/%s %s: %w%s", namespace, name, what, err, Describe(last))
	}
	return last, nil
}

// DeletePod deletes a pod at once and waits until it is gone.
func (c *Cluster) DeletePod(ctx context.Context, namespace, name string) error {
	ctx, cancel := context.WithTimeout(ctx, podDeadline)
	defer cancel()
	err := c.client.CoreV1().Pods(namespace).Delete(ctx, name, *metav1.NewDeleteOptions(0))
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	gone := func(store cache.Store) (bool, error) { return len(store.List()) == 0, nil }
	_, err = watchtools.UntilWithSync(ctx, c.podWatch(namespace, name), &corev1.Pod{}, gone, func(event watch.Event) (bool, error) {
		return event.Type == watch.Deleted, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the pod %s/%s to be gone: %w", namespace, name, err)
	}
	return nil
}

func (c *Cluster) podWatch(namespace, name string) cache.ListerWatcher {
	only := fields.OneTermEqualSelector(metav1.ObjectNameField, name)
	return cache.NewListWatchFromClient(c.client.CoreV1().RESTClient(), "pods", namespace, only)
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// Describe says in what state a pod and its containers are, for errors.
func Describe(pod *corev1.Pod) string {
	if pod == nil {
		return ""
	}
	parts := []string{fmt.Sprintf("; phase %s %s", pod.Status.Phase, pod.Status.Message)}
	for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		switch {
		case status.State.Waiting != nil:
			parts = append(parts, fmt.Sprintf("%s waits: %s %s", status.Name, status.State.Waiting.Reason, status.State.Waiting.Message))
		case status.State.Terminated != nil:
			parts = append(parts, fmt.Sprintf("%s ended with %d: %s", status.Name, status.State.Terminated.ExitCode, status.State.Terminated.Message))
		}
	}
	return strings.Join(parts, "; ")
}

// ExecResult is what a command in a container printed and its exit code.
type ExecResult struct {
	Stdout, Stderr string
	ExitCode       int
}

// Exec runs a command in a container, as `kubectl exec` does. A command that ran and failed is no error.
func (c *Cluster) Exec(ctx context.Context, namespace, pod, container string, args ...string) (ExecResult, error) {
	request := c.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: args, Stdout: true, Stderr: true}, scheme.ParameterCodec)
	executor, err := remotecommand.NewWebSocketExecutor(c.config, "GET", request.URL().String())
	if err != nil {
		return ExecResult{}, err
	}
	var stdout, stderr bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &stdout, Stderr: &stderr})
	result := ExecResult{Stdout: stdout.String(), Stderr: stderr.String()}
	if exit := (utilexec.CodeExitError{}); errors.As(err, &exit) {
		result.ExitCode = exit.Code
		return result, nil
	}
	if err != nil {
		return result, fmt.Errorf("exec in %s/%s, container %s: %w", namespace, pod, container, err)
	}
	return result, nil
}
