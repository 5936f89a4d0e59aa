package cluster

import (
	"net/netip"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A tenant that gives its objects tens of thousands of labels, terms or ports, which the
// API server takes, makes nobody wait and nothing grow (A6): what is too much closes.
func TestHugeObjectsAreNotKept(t *testing.T) {
	for _, size := range []struct{ given, labels, ports int }{
		{1, 1, 1}, {maxKept, maxKept, maxKept}, {maxKept + 1, 0, maxKept}, {40_000, 0, maxKept},
	} {
		t.Run(strconv.Itoa(size.given), func(t *testing.T) {
			all := map[string]string{}
			var named []corev1.ContainerPort
			var served []corev1.ServicePort
			var external []string
			for i := range size.given {
				name := "a" + strconv.Itoa(i)
				all[name] = ""
				named = append(named, corev1.ContainerPort{Name: name, ContainerPort: int32(i + 1)})
				external = append(external, netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}).String())
				served = append(served, corev1.ServicePort{Name: name, Port: int32(i + 1)})
			}
			half := len(named) / 2
			object := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: all}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Ports: named[:half]}, {Ports: named[half:]}},
			}}
			if pod := trimPod(object); pod.Labels != nil || pod.Ports != nil {
				t.Error("labels and ports of a pod that nobody can reach are kept")
			}
			object.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}}
			pod := trimPod(object)
			if len(pod.Labels) != size.labels || len(pod.Ports) != size.ports {
				t.Errorf("of the pod %d labels and %d ports are kept, not %d and %d", len(pod.Labels), len(pod.Ports), size.labels, size.ports)
			}
			service := trimService(&corev1.Service{Spec: corev1.ServiceSpec{Selector: all, Ports: served, ExternalIPs: external}})
			if len(service.Selector) != size.labels || len(service.Ports) != size.ports || len(service.External) != size.ports {
				t.Errorf("of the Service %d terms, %d ports and %d external addresses are kept, not %d, %d and %d", len(service.Selector), len(service.Ports), len(service.External), size.labels, size.ports, size.ports)
			}
		})
	}
}
