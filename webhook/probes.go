package webhook

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// probePorts returns the ports that the kubelet connects to: of the probes and
// lifecycle hooks of all containers that are not the sidecar's.
func probePorts(pod *corev1.Pod) []sidecarconfig.Port {
	var ports []sidecarconfig.Port
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if !isReserved(list[i].Name) {
				ports = append(ports, containerProbePorts(&list[i])...)
			}
		}
	}
	return ports
}

func containerProbePorts(container *corev1.Container) []sidecarconfig.Port {
	var ports []sidecarconfig.Port
	add := func(reference intstr.IntOrString) {
		if port, ok := resolvePort(container, reference); ok {
			ports = append(ports, port)
		}
	}
	for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe, container.StartupProbe} {
		switch {
		case probe == nil:
		case probe.HTTPGet != nil:
			add(probe.HTTPGet.Port)
		case probe.TCPSocket != nil:
			add(probe.TCPSocket.Port)
		case probe.GRPC != nil:
			add(intstr.FromInt32(probe.GRPC.Port))
		}
	}
	if container.Lifecycle == nil {
		return ports
	}
	for _, hook := range []*corev1.LifecycleHandler{container.Lifecycle.PostStart, container.Lifecycle.PreStop} {
		switch {
		case hook == nil:
		case hook.HTTPGet != nil:
			add(hook.HTTPGet.Port)
		case hook.TCPSocket != nil:
			add(hook.TCPSocket.Port)
		}
	}
	return ports
}

// resolvePort does as the kubelet (k8s.io/kubernetes/pkg/probe/util.go,
// ResolveContainerPort): a name is one of the container's ports, or else a number.
// What it cannot resolve the kubelet cannot probe either.
func resolvePort(container *corev1.Container, reference intstr.IntOrString) (sidecarconfig.Port, bool) {
	number := int(reference.IntVal)
	if reference.Type == intstr.String {
		number, _ = strconv.Atoi(reference.StrVal)
		for _, port := range container.Ports {
			if port.Name == reference.StrVal {
				number = int(port.ContainerPort)
				break
			}
		}
	}
	if number < 1 || number > math.MaxUint16 {
		return 0, false
	}
	return sidecarconfig.Port(number), true
}
