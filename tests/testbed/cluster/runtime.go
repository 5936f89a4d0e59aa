package cluster

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// These reach below the API server, to the container runtime: what the node's administrator could do, and no tenant.

// ctr is a command of containerd's own client, to be run on the node.
func ctr(args ...string) []string {
	return append([]string{"ctr", "--address", containerdSocket, "--namespace", "k8s.io"}, args...)
}

// ContainerID finds the runtime's id of a pod's running container, an init container's too.
func ContainerID(pod *corev1.Pod, container string) (string, error) {
	for _, status := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		if status.Name == container && status.State.Running != nil {
			_, id, _ := strings.Cut(status.ContainerID, "://")
			return id, nil
		}
	}
	return "", fmt.Errorf("the pod %s/%s has no running container %s", pod.Namespace, pod.Name, container)
}

// ContainerPID is the process id, on the node, of the first process of a pod's container.
func (c *Cluster) ContainerPID(ctx context.Context, pod *corev1.Pod, container string) (string, error) {
	id, err := ContainerID(pod, container)
	if err != nil {
		return "", err
	}
	tasks, err := c.NodeExec(ctx, ctr("tasks", "list")...)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(tasks) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == id {
			return fields[1], nil
		}
	}
	return "", fmt.Errorf("containerd does not run %s of the pod %s/%s", container, pod.Namespace, pod.Name)
}

// NetnsExec runs a command of the node in a pod's network namespace: "forced from outside". The container is any
// running one of the pod.
func (c *Cluster) NetnsExec(ctx context.Context, pod *corev1.Pod, container string, args ...string) (string, error) {
	pid, err := c.ContainerPID(ctx, pod, container)
	if err != nil {
		return "", err
	}
	return c.NodeExec(ctx, append([]string{"nsenter", "--target", pid, "--net", "--"}, args...)...)
}

// Freeze stops all processes of a container where they are, until Thaw.
func (c *Cluster) Freeze(ctx context.Context, pod *corev1.Pod, container string) error {
	return c.task(ctx, "pause", pod, container)
}

// Thaw lets a frozen container go on.
func (c *Cluster) Thaw(ctx context.Context, pod *corev1.Pod, container string) error {
	return c.task(ctx, "resume", pod, container)
}

func (c *Cluster) task(ctx context.Context, verb string, pod *corev1.Pod, container string) error {
	id, err := ContainerID(pod, container)
	if err != nil {
		return err
	}
	_, err = c.NodeExec(ctx, ctr("tasks", verb, id)...)
	return err
}
