package charts

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

var pods = flag.Int("pods", 1000, "how many pods are generated")

// generator makes requests at random, most of them with something wrong in them.
type generator struct{ *rand.Rand }

// one in n.
func (g generator) one(n int) bool { return g.IntN(n) == 0 }

func pickOne[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

// request is the creation or the update of a pod that went through the webhook's
// mutation, was changed afterwards, or never met it.
func (g generator) request(t testing.TB, w *webhookServer) request {
	r := request{
		operation: admission.Create,
		namespace: pickOne(g, policyNamespaces...),
		user:      pickOne(g, "mallory", "mallory", "mallory", `o'neill "quoted"`),
		object:    g.pod(),
	}
	if !g.one(4) {
		r.object = w.mutate(t, r)
	}
	if g.one(4) {
		g.tamper(&r.object.(*corev1.Pod).Spec)
	}
	if g.one(3) {
		return g.update(r)
	}
	return r
}

// update changes what the API server lets be changed.
func (g generator) update(r request) request {
	old := r.object.(*corev1.Pod)
	pod := old.DeepCopy()
	r.operation, r.old, r.object = admission.Update, old, pod
	switch {
	case g.one(2):
		r.subresource = "ephemeralcontainers"
		for i := range 1 + g.IntN(2) {
			c := g.container(fmt.Sprintf("debugger-%d", i))
			pod.Spec.EphemeralContainers = append(pod.Spec.EphemeralContainers, corev1.EphemeralContainer{
				TargetContainerName: pickOne(g, "", "app-0", "bulkhead-init", "bulkhead-firewall"),
				EphemeralContainerCommon: corev1.EphemeralContainerCommon{
					Name: c.Name, Image: c.Image, SecurityContext: c.SecurityContext,
				},
			})
		}
	case g.one(2):
		list := pickOne(g, pod.Spec.Containers, pod.Spec.InitContainers)
		for i := range list {
			list[i].Image = pickOne(g, list[i].Image, "another")
		}
	default:
		pod.Labels = map[string]string{"changed": "yes"}
	}
	return r
}

func (g generator) pod() *corev1.Pod {
	pod := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "pod"},
	}
	for i := range 1 + g.IntN(2) {
		pod.Spec.Containers = append(pod.Spec.Containers, g.container(fmt.Sprintf("app-%d", i)))
	}
	for i := range g.IntN(3) {
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, g.container(pickOne(g, fmt.Sprintf("init-%d", i), "bulkhead-init", "bulkhead-firewall")))
	}
	if g.one(4) {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: "data", VolumeSource: pickOne(g,
			corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: pickOne(g, "/", "//proc", "")}},
			corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})})
	}
	for _, flag := range []*bool{&pod.Spec.HostNetwork, &pod.Spec.HostPID, &pod.Spec.HostIPC} {
		*flag = g.one(20)
	}
	pod.Spec.ShareProcessNamespace = pickOne(g, nil, nil, nil, nil, new(false), new(true))
	pod.Spec.HostUsers = pickOne(g, nil, nil, new(false), new(true))
	pod.Spec.RuntimeClassName = pickOne(g, nil, nil, nil, new("trusted"), new("other"))
	return pod
}

func (g generator) container(name string) corev1.Container {
	c := corev1.Container{Name: name, Image: pickOne(g, "app", "registry.local/firewall:dev"), Args: pickOne(g, nil, []string{"init"}, []string{"run"})}
	if g.one(3) {
		c.Ports = []corev1.ContainerPort{{ContainerPort: 80}, {ContainerPort: 81, HostPort: pickOne(g, int32(0), 0, 81)}}
	}
	if g.one(2) {
		return c
	}
	c.SecurityContext = &corev1.SecurityContext{Privileged: pickOne(g, nil, nil, new(false), new(true))}
	if !g.one(3) {
		c.SecurityContext.Capabilities = &corev1.Capabilities{Add: g.capabilities(), Drop: g.capabilities()}
	}
	return c
}

func (g generator) capabilities() []corev1.Capability {
	var list []corev1.Capability
	for range g.IntN(3) {
		list = append(list, pickOne[corev1.Capability](g, "ALL", "CHOWN", "SYS_CHROOT", "NET_BIND_SERVICE", "NET_RAW", "NET_ADMIN", "CAP_NET_RAW", "net_raw", "SYS_ADMIN", "CAP_CHOWN", "chown", ""))
	}
	return list
}

// tamper changes the first init containers, the sidecar's mostly.
func (g generator) tamper(spec *corev1.PodSpec) {
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		switch g.IntN(12) {
		case 0:
			c.Image = "evil"
		case 1:
			c.Command = []string{"sh"}
		case 2:
			c.Args = pickOne(g, nil, []string{"init"}, []string{"run"}, []string{"run", "x"})
		case 3:
			c.Env = append(c.Env, corev1.EnvVar{Name: "LD_PRELOAD"})
		case 4:
			c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: pickOne(g, "/usr/sbin", "/run/bulkhead")}}
		case 5:
			c.SecurityContext = g.container("").SecurityContext
		case 6:
			c.Name = pickOne(g, "bulkhead-init", "bulkhead-firewall", "x")
		case 7:
			spec.InitContainers[0], spec.InitContainers[i] = spec.InitContainers[i], spec.InitContainers[0]
		case 8:
			c.RestartPolicy = pickOne(g, nil, new(corev1.ContainerRestartPolicyAlways))
		}
	}
}
