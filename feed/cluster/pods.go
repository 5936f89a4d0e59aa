package cluster

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// maxKept is how many labels, named ports, terms of a selector, ports and external
// addresses of a Service are kept: an object may have tens of thousands, which a tenant
// could have everybody wait for, and pay the memory of (A10). What has more labels or
// terms neither is selected nor selects, and further ports are not opened: more closes.
// Further external addresses are not kept from others, for the firewalls behind to judge.
const maxKept = 128

// Pods hear of all pods too, so that nobody else need follow them: of what they have
// trimmed themselves. Nothing else of a pod is kept.
type Pods interface {
	Trim(*corev1.Pod) any
	Set(trimmed any)
	Remove(namespace, name string)
	Replace(trimmed []any)
}

// pod is what is made of one.
type pod struct {
	peers.Pod
	// none: the Store has nothing of it.
	none   bool
	beside any // the Pods'
}

func followPods(kube kubernetes.Interface, store *peers.Store, beside Pods) follower {
	client := kube.CoreV1().Pods(metav1.NamespaceAll)
	return &kind[*corev1.Pod, pod]{
		name:  "pods",
		list:  listed(client.List, func(l *corev1.PodList) ([]corev1.Pod, metav1.ListMeta) { return l.Items, l.ListMeta }),
		watch: client.Watch,
		trim: func(object *corev1.Pod) pod {
			p := trimPod(object)
			p.beside = beside.Trim(object)
			return p
		},
		set: func(p pod, revision uint64) {
			if p.none {
				store.DeletePod(p.Namespace, p.Name, revision)
			} else {
				store.SetPod(p.Pod, revision)
			}
			beside.Set(p.beside)
		},
		remove: func(namespace, name string, revision uint64) {
			store.DeletePod(namespace, name, revision)
			beside.Remove(namespace, name)
		},
		replace: func(all []pod, revision uint64) {
			var pods []peers.Pod
			others := make([]any, len(all))
			for i, p := range all {
				if others[i] = p.beside; !p.none {
					pods = append(pods, p.Pod)
				}
			}
			store.ReplacePods(pods, revision)
			beside.Replace(others)
		},
	}
}

// listed makes a kind's list of a client's, whose lists have the type L.
func listed[L, T any](list func(context.Context, metav1.ListOptions) (L, error), parts func(L) ([]T, metav1.ListMeta)) func(context.Context, metav1.ListOptions) ([]*T, metav1.ListMeta, error) {
	return func(ctx context.Context, options metav1.ListOptions) ([]*T, metav1.ListMeta, error) {
		found, err := list(ctx, options)
		if err != nil {
			return nil, metav1.ListMeta{}, err
		}
		items, meta := parts(found)
		all := make([]*T, len(items))
		for i := range items {
			all[i] = &items[i]
		}
		return all, meta, nil
	}
}

// trimPod makes nothing for the Store of pods in their node's network: their address is
// the node's.
func trimPod(object *corev1.Pod) pod {
	if object.Spec.HostNetwork {
		return pod{Pod: peers.Pod{Namespace: object.Namespace, Name: object.Name}, none: true}
	}
	p := peers.Pod{
		Namespace: shared(object.Namespace), Name: object.Name, UID: string(object.UID), Created: object.CreationTimestamp.Time,
		Scheduled: object.Spec.NodeName != "", Ended: ended(object),
		Listens: slices.ContainsFunc(object.Spec.InitContainers, func(c corev1.Container) bool { return c.Name == config.FirewallContainer }),
	}
	if object.DeletionTimestamp != nil {
		p.Deadline = object.DeletionTimestamp.Time
	}
	for _, ip := range object.Status.PodIPs {
		p.Addresses = appendAddress(p.Addresses, ip.IP)
	}
	if len(p.Addresses) > 0 && !p.Ended {
		// Without an address it is not reached: pods that never run cost next to nothing.
		p.Labels, p.Ports = labels(object.Labels), namedPorts(object)
	}
	return pod{Pod: p}
}

// shared is the one copy of a text that many objects have.
func shared(text string) string { return unique.Make(text).Value() }

func labels(all map[string]string) peers.Labels {
	if len(all) > maxKept {
		return nil
	}
	return peers.NewLabels(all)
}

func appendAddress(to []netip.Addr, text string) []netip.Addr {
	address, err := netip.ParseAddr(text)
	if err != nil || !protocol.ValidAddress(address) {
		return to
	}
	return append(to, address)
}

// ended tells whether nothing of the pod runs any more. Its sidecars end last, and with
// them the pod's network; a pod whose containers are only being restarted has a sidecar
// that runs, or nobody in it who could speak.
func ended(pod *corev1.Pod) bool {
	if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return true
	}
	if len(pod.Status.ContainerStatuses) < len(pod.Spec.Containers) || len(pod.Spec.Containers) == 0 {
		return false
	}
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses, pod.Status.EphemeralContainerStatuses} {
		for _, status := range statuses {
			if status.State.Terminated == nil {
				return false
			}
		}
	}
	return true
}

// namedPorts are those that a Service can name: of containers and sidecars.
func namedPorts(pod *corev1.Pod) []peers.NamedPort {
	var all []peers.NamedPort
	take := func(containers []corev1.Container, count func(*corev1.Container) bool) {
		for i := range containers {
			for _, port := range containers[i].Ports {
				if len(all) < maxKept && port.Name != "" && port.ContainerPort > 0 && port.ContainerPort <= 65535 && count(&containers[i]) {
					all = append(all, peers.NamedPort{Name: unique.Make(port.Name), Protocol: protocolOf(port.Protocol), Port: uint16(port.ContainerPort)})
				}
			}
		}
	}
	take(pod.Spec.Containers, func(*corev1.Container) bool { return true })
	take(pod.Spec.InitContainers, func(c *corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	})
	return all
}

func protocolOf(p corev1.Protocol) string {
	if p == "" {
		p = corev1.ProtocolTCP
	}
	return shared(strings.ToLower(string(p)))
}
