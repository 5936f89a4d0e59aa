package experiments

import (
	"embed"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

//go:embed pods
var manifests embed.FS

// change makes a pod differ from its manifest.
type change func(*corev1.Pod) error

// pod reads one of the manifests and puts it into a namespace.
func pod(namespace, manifest string, changes ...change) (*corev1.Pod, error) {
	var p corev1.Pod
	if err := decode(manifest, &p); err != nil {
		return nil, err
	}
	p.Namespace = namespace
	for _, apply := range changes {
		if err := apply(&p); err != nil {
			return nil, err
		}
	}
	return &p, nil
}

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

// withThesisFirewall gives a pod the thesis' rules by a container of its own.
func withThesisFirewall(own, all string) change {
	return func(p *corev1.Pod) error {
		var firewall corev1.Container
		if err := decode("thesis-sidecar", &firewall); err != nil {
			return err
		}
		firewall.Command = append(firewall.Command, own, all)
		p.Spec.Containers = append(p.Spec.Containers, firewall)
		return nil
	}
}

// withNetAdmin lets a pod's application change the pod's own network, as the images of many products ask for.
func withNetAdmin(p *corev1.Pod) error {
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"NET_ADMIN"}},
	}
	return nil
}
