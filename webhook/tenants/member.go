package tenants

import (
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// member is a pod on its way to Members: what the status of Tenants needs of it.
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

// GetObjectMeta is what a Reflector knows objects by.
func (m *member) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: m.namespace, Name: m.name, ResourceVersion: m.version, UID: m.uid}
}

// failure is an end of a container, and comparable.
type failure struct {
	container, id string
	exitCode      int32
	at            time.Time
	words         string
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
				m.failures = append(m.failures, failure{
					container, ended.ContainerID, ended.ExitCode, ended.FinishedAt.Time, lastWords(container, ended),
				})
			}
		}
	}
	return m
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
