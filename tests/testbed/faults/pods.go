package faults

import (
	"embed"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

//go:embed pods
var manifests embed.FS

// The two tenants, the container that all pods have, and the two of Bulkhead's.
const (
	alice    = "alice"
	bob      = "bob"
	app      = "app"
	builder  = "bulkhead-init"
	firewall = "bulkhead-firewall"
)

// streamPort is where receivers count.
const streamPort = "7000"

func decode(manifest string, into any) error {
	content, err := manifests.ReadFile("pods/" + manifest + ".yaml")
	if err != nil {
		return err
	}
	if err := yaml.UnmarshalStrict(content, into); err != nil {
		return fmt.Errorf("parse the manifest %s: %w", manifest, err)
	}
	return nil
}

func receiver(namespace string) (*corev1.Pod, error) {
	var pod corev1.Pod
	err := decode("receiver", &pod)
	pod.Namespace = namespace
	return &pod, err
}

func sender(namespace string, targets []string) (*corev1.Pod, error) {
	var pod corev1.Pod
	err := decode("sender", &pod)
	pod.Namespace = namespace
	for _, target := range targets {
		command := &pod.Spec.Containers[0].Command
		*command = append(*command, net.JoinHostPort(target, streamPort))
	}
	return &pod, err
}

// naive is the firewall to compare with, which knows IPv4 only.
func (s *stage) naive() (corev1.Container, error) {
	var container corev1.Container
	err := decode("naive", &container)
	tenants := "172.16.0.0/15"
	if !s.Network().Routed {
		tenants = s.Network().PodCIDRs[0]
	}
	container.Command = append(container.Command, tenants)
	return container, err
}
