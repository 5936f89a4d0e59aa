package faults

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/results"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ingress is a namespace that alice shares and that is nobody's; exposed is her Service that is public.
const (
	ingress = "ingress"
	exposed = "exposed"
)

// externalIP is for documentation (RFC 5737): kube-proxy takes it for the Service's.
const externalIP = "198.51.100.30"

// service makes a Service in front of alice's receiver, or returns it if it is there: a Service that Bulkhead refuses can
// be older than Bulkhead.
func (s *stage) service(ctx context.Context, name string, change func(*corev1.ServiceSpec)) (*corev1.Service, error) {
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: alice},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: 7000, TargetPort: intstr.FromInt32(7000)}},
		},
	}
	change(&service.Spec)
	services := s.Client().CoreV1().Services(alice)
	found, err := services.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return services.Create(ctx, service, metav1.CreateOptions{})
	}
	return found, err
}

// behind starts a receiver that a Service of this name leads to.
func (s *stage) behind(ctx context.Context, name string) (*corev1.Pod, error) {
	pod, err := receiver(alice)
	pod.Labels = map[string]string{"app": name}
	return s.start(ctx, pod, err)
}

// client starts a pod that others are reached from.
func (s *stage) client(ctx context.Context, namespace string) (*corev1.Pod, error) {
	pod, err := receiver(namespace)
	pod.Name = "client"
	return s.start(ctx, pod, err)
}

// externalAddress: bob connects to an external address that alice's Service has had since before there was Bulkhead.
func externalAddress(ctx context.Context, s *stage) (results.Outcome, string, error) {
	if _, err := s.service(ctx, "external", func(spec *corev1.ServiceSpec) { spec.ExternalIPs = []string{externalIP} }); err != nil {
		return "", "", err
	}
	to, err := s.behind(ctx, "external")
	if err != nil {
		return "", "", err
	}
	own, err := s.client(ctx, alice)
	if err != nil {
		return "", "", err
	}
	if _, err := s.dials(ctx, own, target(to)); err != nil {
		return "", "", fmt.Errorf("control: %w", err)
	}
	other, err := s.client(ctx, bob)
	if err != nil {
		return "", "", err
	}
	address := net.JoinHostPort(externalIP, streamPort)
	if !s.protected {
		took, err := s.dials(ctx, other, address)
		return results.Reached, fmt.Sprintf("answered at %s after %.1f s", address, took.Seconds()), err
	}
	for range 3 {
		if err := s.dial(ctx, other, address); err == nil {
			return results.Reached, "answered at " + address, nil
		}
	}
	return results.Blocked, "no answer at " + address, nil
}

// sharedNamespace: an ingress in the namespace that alice shares reaches her pod, by its address and by its Service, and
// is reached by hers; and a host outside reaches the NodePort of her public Service.
func sharedNamespace(ctx context.Context, s *stage) (results.Outcome, string, error) {
	service, err := s.service(ctx, exposed, func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort })
	if err != nil {
		return "", "", err
	}
	to, err := s.behind(ctx, exposed)
	if err != nil {
		return "", "", err
	}
	front, err := s.client(ctx, ingress)
	if err != nil {
		return "", "", err
	}
	for _, way := range []struct {
		from   *corev1.Pod
		target string
	}{{front, target(to)}, {front, net.JoinHostPort(service.Spec.ClusterIP, streamPort)}, {to, target(front)}} {
		if _, err := s.dials(ctx, way.from, way.target); err != nil {
			return results.Blocked, err.Error(), nil
		}
	}
	node := net.JoinHostPort(s.Network().Node[0], strconv.Itoa(int(service.Spec.Ports[0].NodePort)))
	err = s.Wait(ctx, "the host outside to reach "+node, time.Minute, func(ctx context.Context) error {
		_, err := s.OutsideExec(ctx, build.Stream, "dial", node)
		return err
	})
	if err != nil {
		return results.Blocked, err.Error(), nil
	}
	return results.Reached, fmt.Sprintf("from %s to alice's pod and its Service, back, and from outside to %s", ingress, node), nil
}
