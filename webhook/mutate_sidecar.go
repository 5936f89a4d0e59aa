package webhook

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// inject puts the sidecar's two containers at initContainers[0] and [1], before
// any of the tenant's (threat L1). An init container that has one of their names
// and is not the genuine one at its place goes (threat L3), as does a volume of the
// name of theirs.
func (s *sidecar) inject(e *edit) {
	s.injectContainers(e)
	s.injectVolumes(e)
}

func (s *sidecar) injectVolumes(e *edit) {
	const path = "/spec/volumes"
	volumes := e.pod.Spec.Volumes
	isSidecars := func(v corev1.Volume) bool { return v.Name == sidecarconfig.TokenVolume }
	found := slices.DeleteFunc(slices.Clone(volumes), func(v corev1.Volume) bool { return !isSidecars(v) })
	if equality.Semantic.DeepEqual(found, s.volumes) {
		return
	}
	for i := len(volumes) - 1; i >= 0; i-- {
		if isSidecars(volumes[i]) {
			volumes = slices.Delete(volumes, i, i+1)
			e.remove(fmt.Sprintf("%s/%d", path, i))
		}
	}
	if len(volumes) == 0 && len(s.volumes) > 0 {
		e.add(path, s.volumes)
	} else {
		for _, volume := range s.volumes {
			e.add(path+"/-", volume)
		}
	}
	e.pod.Spec.Volumes = append(volumes, s.volumes...)
}

func (s *sidecar) injectContainers(e *edit) {
	if s.injected(e.pod) {
		return
	}
	const path = "/spec/initContainers"
	containers := e.pod.Spec.InitContainers
	for i := len(containers) - 1; i >= 0; i-- {
		if isReserved(containers[i].Name) {
			containers = slices.Delete(containers, i, i+1)
			e.remove(fmt.Sprintf("%s/%d", path, i))
		}
	}
	if len(containers) == 0 {
		e.add(path, []corev1.Container{s.init, s.firewall})
	} else {
		e.add(path+"/0", s.init)
		e.add(path+"/1", s.firewall)
	}
	e.pod.Spec.InitContainers = slices.Insert(containers, 0, s.init, s.firewall)
}

// injected tells whether the genuine containers are at their places, and no other
// init container has their names.
func (s *sidecar) injected(pod *corev1.Pod) bool {
	containers := pod.Spec.InitContainers
	return len(containers) >= 2 && genuine(pod, containers[0], s.init) && genuine(pod, containers[1], s.firewall) &&
		!reserved(containers[2:])
}

// genuine tells whether the container is the expected one. Tolerated is only what
// the API server's ServiceAccount plugin adds when it runs again after us, as in
// rego/lib/sidecar (threat L15).
func genuine(pod *corev1.Pod, container, expected corev1.Container) bool {
	if mounts, more := container.VolumeMounts, len(expected.VolumeMounts); len(mounts) == more+1 && isTokenMount(pod, mounts[more]) {
		container.VolumeMounts = mounts[:more]
	}
	return equality.Semantic.DeepEqual(container, expected)
}

// isTokenMount tells whether the plugin may have added the mount. A volume that is
// not a projected one could keep the sidecar from starting (threat L17).
func isTokenMount(pod *corev1.Pod, mount corev1.VolumeMount) bool {
	added := equality.Semantic.DeepEqual(mount, corev1.VolumeMount{
		Name:      mount.Name,
		ReadOnly:  true,
		MountPath: "/var/run/secrets/kubernetes.io/serviceaccount",
	})
	projected := func(v corev1.Volume) bool { return v.Name == mount.Name && v.Projected != nil }
	return added && strings.HasPrefix(mount.Name, "kube-api-access-") && slices.ContainsFunc(pod.Spec.Volumes, projected)
}
