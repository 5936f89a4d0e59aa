package tenants

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// member is what the status of Tenants needs of a pod. A corev1.Pod takes many times the
// memory, with nothing in it but this.
type member struct {
	namespace, name, version string
	uid                      types.UID
	// deleted: it is being deleted. ended: nothing of it runs any more, nor will.
	deleted, ended bool
	// protected: the firewall was built and is watched.
	protected bool
	// failures are those of the sidecar's containers that ended in failure last.
	failures []failure
}

// GetObjectMeta is what informers know objects by.
func (m *member) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.namespace, Name: m.name, ResourceVersion: m.version, UID: m.uid}
}

type failure struct {
	container string
	ended     *corev1.ContainerStateTerminated
}

func newMember(pod *corev1.Pod) *member {
	m := &member{
		namespace: unique.Make(pod.Namespace).Value(), // of which there is one copy
		name:      pod.Name, version: pod.ResourceVersion, uid: pod.UID,
		deleted:   pod.DeletionTimestamp != nil,
		ended:     pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed,
		protected: protected(pod),
	}
	for _, container := range []string{sidecarconfig.InitContainer, sidecarconfig.FirewallContainer} {
		for _, status := range pod.Status.InitContainerStatuses {
			if ended := failureOf(status); ended != nil && status.Name == container {
				m.failures = append(m.failures, failure{container, ended})
			}
		}
	}
	return m
}

// failure is how the container ended; nil: not in failure.
func (m *member) failure(container string) *corev1.ContainerStateTerminated {
	if m == nil {
		return nil
	}
	for _, f := range m.failures {
		if f.container == container {
			return f.ended
		}
	}
	return nil
}

// protected tells whether the firewall was built and is watched. The names are
// enough: no one else's container may have them in a tenant's pod.
func protected(pod *corev1.Pod) bool {
	var built, watched bool
	for _, status := range pod.Status.InitContainerStatuses {
		switch status.Name {
		case sidecarconfig.InitContainer:
			built = status.State.Terminated != nil && status.State.Terminated.ExitCode == 0
		case sidecarconfig.FirewallContainer:
			watched = status.State.Running != nil
		}
	}
	return built && watched
}
