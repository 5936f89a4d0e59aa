//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	appLabel = "app"
	account  = "default"
	webPort  = 8080
	// noSidecar is in the place of a sidecar.
	noSidecar = "log-shipper"
)

// address is the nth one of the pods' range, of which none is given twice.
func address(n uint32) netip.Addr {
	first := netip.MustParsePrefix(podRange).Addr().As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(first[:])+n)))
}

func newTenant(name string) *v1alpha1.Tenant {
	return &v1alpha1.Tenant{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Tenant"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.TenantSpec{Namespaces: []string{name}, Addressing: v1alpha1.Addressing{Mode: v1alpha1.AddressingIdentity}},
	}
}

func newService(namespace, app string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: app, Namespace: namespace},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{appLabel: app},
			Ports:    []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}},
		},
	}
}

// newPod is about what the API server holds of a tenant's pod: an application, and the
// firewall as it is injected, by the name of its sidecar. Without a sidecar's name the
// feed does not wait for what the pod has heard.
func newPod(namespace, name, app, sidecar string, ip netip.Addr) (created *corev1.Pod, status corev1.PodStatus) {
	few := corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("16Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")},
	}
	always := corev1.ContainerRestartPolicyAlways
	// The sidecar's configuration is mostly the feed's CA.
	firewall := []corev1.EnvVar{{Name: "BULKHEAD_CONFIG", Value: strings.Repeat("c", 1200)}}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace,
			Labels:      map[string]string{appLabel: app, "pod-template-hash": "5d4f8c7b9", "team": namespace},
			Annotations: map[string]string{"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "prometheus.io/scrape": "true"},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", ServiceAccountName: account,
			InitContainers: []corev1.Container{
				{Name: "bulkhead-init", Image: "registry.example/bulkhead/firewall:1", Env: firewall, Resources: few},
				{Name: sidecar, Image: "registry.example/bulkhead/firewall:1", Env: firewall, Resources: few, RestartPolicy: &always},
			},
			Containers: []corev1.Container{{
				Name: "web", Image: "registry.example/team/web:1.2.3", Resources: few,
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: webPort}},
				Env:   []corev1.EnvVar{{Name: "DATABASE", Value: "postgres.example:5432"}, {Name: "SETTINGS", Value: strings.Repeat("s", 300)}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Path: "/ready", Port: intstr.FromString("http"),
				}}},
			}},
		},
	}
	return pod, runningStatus(pod, ip)
}

func runningStatus(pod *corev1.Pod, ip netip.Addr) corev1.PodStatus {
	now := metav1.Now()
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, HostIP: "192.0.2.10", HostIPs: []corev1.HostIP{{IP: "192.0.2.10"}},
		PodIP: ip.String(), PodIPs: []corev1.PodIP{{IP: ip.String()}}, StartTime: &now, QOSClass: corev1.PodQOSBurstable,
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: now})
	}
	running := func(c corev1.Container) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: c.Image + "@sha256:" + strings.Repeat("0", 64), ContainerID: "containerd://" + strings.Repeat("0", 64),
			Ready: true, Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		}
	}
	first := running(pod.Spec.InitContainers[0])
	first.Started, first.State = new(false), corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: now, FinishedAt: now}}
	status.InitContainerStatuses = []corev1.ContainerStatus{first, running(pod.Spec.InitContainers[1])}
	status.ContainerStatuses = []corev1.ContainerStatus{running(pod.Spec.Containers[0])}
	return status
}

func podName(n int) string { return fmt.Sprintf("web-%04d", n) }
