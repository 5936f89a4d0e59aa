package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mallory is a tenant that is set up wrongly: the cluster's IPAM knows no range of the namespace.
const mallory = "mallory"

// tenant is a Tenant with one namespace of the same name.
func tenant(name string, cidrs ...string) string {
	return fmt.Sprintf(`{"apiVersion": "bulkhead.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": %q},
		"spec": {"namespaces": [%q], "addressing": {"mode": "cidr", "cidrs": ["%s"]}}}`, name, name, strings.Join(cidrs, `", "`))
}

func (s *stage) apply(ctx context.Context, manifest string) error {
	path, err := s.WriteFile("apply.json", []byte(manifest))
	if err != nil {
		return err
	}
	_, err = s.Kubectl(ctx, "apply", "--filename", path)
	return errors.Join(err, os.Remove(path))
}

// wrongRange: a pod whose address its tenant's ranges do not hold would be isolated from nobody, or from its own. It
// does not start, and its status says why.
func wrongRange(ctx context.Context, s *stage) (_ results.Outcome, _ string, err error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: mallory}}
	if _, err := s.Client().CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, s.removeMallory(context.WithoutCancel(ctx))) }()
	if err := s.apply(ctx, tenant(mallory, "172.16.9.0/24")); err != nil {
		return "", "", err
	}
	pod, err := receiver(alice)
	to, err := s.start(ctx, pod, err)
	if err != nil {
		return "", "", err
	}
	targets, err := s.targets(ctx, to)
	if err != nil {
		return "", "", err
	}
	dress, err := s.strip(ctx, to)
	if err != nil {
		return "", "", err
	}
	defer func() { err = errors.Join(err, dress()) }()
	var from *corev1.Pod
	err = s.Wait(ctx, "mallory's pod to be accepted", 30*time.Second, func(ctx context.Context) error {
		// Its service account and the Tenant may not have been seen yet everywhere.
		pod, err := sender(mallory, targets)
		if from, err = s.create(ctx, pod, err); err != nil {
			return err
		}
		if len(from.Spec.InitContainers) == 0 {
			return errors.Join(errors.New("it got no firewall"), s.DeletePod(ctx, mallory, from.Name))
		}
		return nil
	})
	if err != nil {
		return "", "", err
	}
	failed, err := s.WaitPod(ctx, mallory, from.Name, "to fail", func(pod *corev1.Pod) bool {
		status := statusOf(pod, builder)
		return status.State.Terminated != nil || status.LastTerminationState.Terminated != nil
	})
	if err != nil {
		return "", "", err
	}
	status := statusOf(failed, builder)
	ended := status.LastTerminationState.Terminated
	if ended == nil {
		ended = status.State.Terminated
	}
	if ended.ExitCode == 0 || !strings.Contains(ended.Message, "172.16.9.0/24") && !strings.Contains(ended.Message, "address") {
		return "", "", fmt.Errorf("bulkhead-init ended with %d and says %q", ended.ExitCode, ended.Message)
	}
	seen, err := s.counts(ctx, to)
	if err != nil {
		return "", "", err
	}
	if seen.total() > 0 || statusOf(failed, app).State.Running != nil {
		return results.Reached, fmt.Sprintf("%d packets arrived", seen.total()), nil
	}
	event, err := s.waitForEvent(ctx, from, "FirewallFailed")
	return results.NotStarted, fmt.Sprintf("its status says: %s; its Event: %s", strings.TrimSpace(ended.Message), event), err
}

// removeMallory removes the tenant, its namespace and what is in it.
func (s *stage) removeMallory(ctx context.Context) error {
	_, err := s.Kubectl(ctx, "delete", "--ignore-not-found", "--wait=false", "tenants.bulkhead.dev", mallory)
	errs := []error{err}
	for _, name := range []string{"sender", "receiver"} {
		errs = append(errs, s.DeletePod(ctx, mallory, name))
	}
	return errors.Join(append(errs, s.Client().CoreV1().Namespaces().Delete(ctx, mallory, metav1.DeleteOptions{}))...)
}

// overlap: a Tenant that claims a part of another's range is refused.
func overlap(ctx context.Context, s *stage) (results.Outcome, string, error) {
	err := s.apply(ctx, tenant("eve", "172.16.1.128/25"))
	if err == nil {
		_, err := s.Kubectl(ctx, "delete", "tenants.bulkhead.dev", "eve")
		return results.Reached, "the Tenant was accepted", err
	}
	if !strings.Contains(err.Error(), "denied the request") {
		return "", "", err
	}
	lines := slices.Collect(strings.Lines(err.Error()))
	return results.Denied, strings.TrimSpace(lines[len(lines)-1]), nil
}
