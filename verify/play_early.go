package verify

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// early is what the containers of a pod of bob's saw that tried at once, before anybody could look.
type early struct {
	initContainer, app, control []probe.Answer
}

// The containers of that pod.
const (
	firstContainer   = "first"
	controlContainer = "control"
)

// oncePlayEarly starts the pod when the first check asks for it.
func (s *stage) oncePlayEarly(ctx context.Context) func() (early, error) {
	return sync.OnceValues(func() (early, error) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		return s.playEarly(ctx)
	})
}

func (s *stage) playEarly(ctx context.Context) (early, error) {
	dial := func(name string, targets []string) corev1.Container {
		return s.container(name, append([]string{"dial"}, targets...)...)
	}
	alice := s.a.server.targets(probe.ServicePort)
	manifest := s.manifest(s.b.namespace, "early", func(p *corev1.Pod) {
		p.Spec.RestartPolicy = corev1.RestartPolicyNever
		p.Spec.InitContainers = []corev1.Container{dial(firstContainer, alice)}
		p.Spec.Containers = []corev1.Container{dial(app, alice), dial(controlContainer, s.b.server.targets(probe.ServicePort))}
	})
	if err := s.create(ctx, manifest); err != nil {
		return early{}, err
	}
	ended, err := s.waitFor(ctx, manifest.Namespace, manifest.Name, func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) == 2 && !slices.ContainsFunc(p.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
			return c.State.Terminated == nil
		})
	})
	if err != nil {
		return early{}, err
	}
	var saw early
	for container, into := range map[string]*[]probe.Answer{firstContainer: &saw.initContainer, app: &saw.app, controlContainer: &saw.control} {
		if *into, err = s.log(ctx, ended, container); err != nil {
			return early{}, err
		}
	}
	if !allReached(saw.control) {
		return early{}, fmt.Errorf("control: the pod must reach its own tenant's server and does not: %s", say(saw.control))
	}
	return saw, nil
}

// log reads the answers that a container printed.
func (s *stage) log(ctx context.Context, p *corev1.Pod, container string) ([]probe.Answer, error) {
	stream, err := s.client.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{Container: container}).Stream(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", container, err)
	}
	defer stream.Close()
	content, err := io.ReadAll(io.LimitReader(stream, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("read the log of container %s: %w", container, err)
	}
	return parseAnswers(content)
}

// firstInitContainer: L1.
func firstInitContainer(ctx context.Context, s *stage) (Outcome, string, error) {
	saw, err := s.early()
	return s.outcome(saw.initContainer), say(saw.initContainer), err
}

// firstInstruction: L16.
func firstInstruction(ctx context.Context, s *stage) (Outcome, string, error) {
	saw, err := s.early()
	return s.outcome(saw.app), say(saw.app), err
}
