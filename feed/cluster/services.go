package cluster

import (
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
)

func followServices(kube kubernetes.Interface, store *peers.Store) follower {
	client := kube.CoreV1().Services(metav1.NamespaceAll)
	return &kind[*corev1.Service, peers.Service]{
		name:    "services",
		list:    listed(client.List, func(l *corev1.ServiceList) ([]corev1.Service, metav1.ListMeta) { return l.Items, l.ListMeta }),
		watch:   client.Watch,
		trim:    trimService,
		set:     func(v peers.Service, _ uint64) { store.SetService(v) },
		remove:  func(namespace, name string, _ uint64) { store.DeleteService(namespace, name) },
		replace: func(all []peers.Service, _ uint64) { store.ReplaceServices(all) },
	}
}

func trimService(service *corev1.Service) peers.Service {
	s := peers.Service{Namespace: shared(service.Namespace), Name: service.Name}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		return s // a name, not an address
	}
	s.Selector = labels(service.Spec.Selector)
	for _, ip := range service.Spec.ClusterIPs {
		if ip != corev1.ClusterIPNone {
			s.Addresses = appendAddress(s.Addresses, ip)
		}
	}
	for _, ip := range service.Spec.ExternalIPs {
		s.External = appendAddress(s.External, ip)
	}
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		s.External = appendAddress(s.External, ingress.IP)
	}
	s.External = s.External[:min(maxKept, len(s.External))]
	for _, port := range service.Spec.Ports[:min(maxKept, len(service.Spec.Ports))] {
		target := peers.TargetPort{Protocol: protocolOf(port.Protocol)}
		switch {
		case port.TargetPort.Type == intstr.String:
			target.Name = unique.Make(port.TargetPort.StrVal)
		case port.TargetPort.IntVal != 0:
			target.Port = uint16(port.TargetPort.IntVal)
		default:
			target.Port = uint16(port.Port)
		}
		s.Ports = append(s.Ports, target)
	}
	return s
}
