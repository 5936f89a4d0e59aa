package verify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

const (
	// app is the container that attempts are made in.
	app = "app"
	// rules is the container that holds the firewall of a pod of the thesis, for a cluster without Bulkhead.
	rules = "rules"
	// endpointLabel selects the pods behind the Service that both tenants call.
	endpointLabel = "bulkhead.dev/verify-endpoint"
)

// imagePatience is how long a pod may go without an image that its node could not get: a registry may stumble once.
const imagePatience = 30 * time.Second

// change makes a pod differ from the plain one.
type change func(*corev1.Pod)

// pod is a running probe.
type pod struct {
	*corev1.Pod
	addresses []netip.Addr            // those that are attacked
	others    map[string][]netip.Addr // by interface: those of other networks
}

// manifest is a plain pod of the run: a probe that serves.
func (r *run) manifest(namespace, name string, changes ...change) *corev1.Pod {
	name = "bulkhead-verify-" + name
	grace, links := int64(1), false
	p := &corev1.Pod{
		ObjectMeta: r.meta(namespace, name),
		Spec: corev1.PodSpec{
			NodeName:                      r.options.Node,
			TerminationGracePeriodSeconds: &grace,
			EnableServiceLinks:            &links,
			Containers:                    []corev1.Container{r.container(app, "serve", "--name", namespace+"/"+name)},
		},
	}
	// The probe's own port and no other: a firewall opens to nodes what probes name.
	p.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(probe.ReadyPort)}},
		PeriodSeconds: 1,
	}
	if len(r.options.Networks) > 0 {
		p.Annotations["k8s.v1.cni.cncf.io/networks"] = strings.Join(r.options.Networks, ",")
	}
	for _, apply := range changes {
		apply(p)
	}
	return p
}

// container runs a command of the probe.
func (r *run) container(name string, command ...string) corev1.Container {
	return corev1.Container{
		Name: name, Image: r.options.Image, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: append([]string{probe.Path}, command...),
	}
}

// withCapabilities gives a container of the pod, which it may have already, capabilities.
func withCapabilities(container int, capabilities ...corev1.Capability) change {
	return func(p *corev1.Pod) {
		p.Spec.Containers[container].SecurityContext = &corev1.SecurityContext{
			Capabilities: &corev1.Capabilities{Add: capabilities},
		}
	}
}

func privileged(p *corev1.Pod) {
	yes := true
	p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: &yes}
}

// hostProc is where a pod with the node's processes has them.
const hostProc = "/hosts/proc"

func withHostProc(p *corev1.Pod) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: "proc", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/proc"}},
	})
	p.Spec.Containers[0].VolumeMounts = append(p.Spec.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "proc", MountPath: hostProc})
}

// on puts a pod where another one is, which an attack by way of the node needs.
func on(node string) change { return func(p *corev1.Pod) { p.Spec.NodeName = node } }

// start creates a pod and waits until it is Ready.
func (r *run) start(ctx context.Context, manifest *corev1.Pod) (*pod, error) {
	if err := r.create(ctx, manifest); err != nil {
		return nil, err
	}
	running, err := r.waitFor(ctx, manifest.Namespace, manifest.Name, isReady)
	if err != nil {
		return nil, err
	}
	return r.inspect(ctx, running)
}

func (r *run) create(ctx context.Context, manifest *corev1.Pod) error {
	if _, err := r.client.CoreV1().Pods(manifest.Namespace).Create(ctx, manifest, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create a pod: %w", err)
	}
	return nil
}

// inspect finds a pod's addresses.
func (r *run) inspect(ctx context.Context, running *corev1.Pod) (*pod, error) {
	p := &pod{Pod: running, others: map[string][]netip.Addr{}}
	for _, ip := range running.Status.PodIPs {
		address, err := netip.ParseAddr(ip.IP)
		if err != nil {
			return nil, err
		}
		p.addresses = append(p.addresses, address)
	}
	answers, err := r.probe(ctx, p, app, "addresses")
	if err != nil {
		return nil, err
	}
	for _, answer := range answers {
		var addresses []netip.Addr
		for _, said := range answer.Said {
			address, err := netip.ParseAddr(said)
			if err != nil {
				return nil, err
			}
			addresses = append(addresses, address)
		}
		if !slices.ContainsFunc(addresses, func(a netip.Addr) bool { return slices.Contains(p.addresses, a) }) {
			p.others[answer.Target] = addresses
		}
	}
	if chosen := r.options.Interface; chosen != "" {
		if len(p.others[chosen]) == 0 {
			return nil, fmt.Errorf("--interface %s: pod %s/%s has no second interface of this name with an address", chosen, p.Namespace, p.Name)
		}
		p.addresses = p.others[chosen]
	}
	return p, nil
}

// waitFor waits until a condition of a pod holds, or gives up: at once when its firewall could not be built, and after
// a while when an image is not to be had.
func (r *run) waitFor(ctx context.Context, namespace, name string, condition func(*corev1.Pod) bool) (*corev1.Pod, error) {
	var last *corev1.Pod
	var fatal error
	var missing time.Time // since when an image is
	err := poll(ctx, func() error {
		p, err := r.client.CoreV1().Pods(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		last = p
		if fatal = r.misplaced(p); fatal != nil {
			return nil
		}
		if condition(p) {
			return nil
		}
		switch {
		case !lacksImage(p):
			missing = time.Time{}
		case missing.IsZero():
			missing = time.Now()
		case time.Since(missing) >= imagePatience:
			fatal = fmt.Errorf("wait for the pod %s/%s: an image was not to be had for %s: %s", namespace, name, imagePatience, state(p))
			return nil
		}
		return errors.New(state(p))
	})
	if fatal != nil {
		return nil, fatal
	}
	if err != nil {
		return nil, fmt.Errorf("wait for the pod %s/%s: %w", namespace, name, err)
	}
	return last, nil
}

// misplaced says what is wrong if a tenant's pod has an address outside its tenant's ranges: then its firewall cannot
// be built, and no check could be played.
func (r *run) misplaced(p *corev1.Pod) error {
	side, flag := r.options.A, "-a"
	if p.Namespace == r.options.B.Namespace {
		side, flag = r.options.B, "-b"
	}
	for _, ip := range p.Status.PodIPs {
		address, err := netip.ParseAddr(ip.IP)
		if err != nil {
			return err
		}
		if r.options.Baseline || len(side.CIDRs) == 0 || slices.ContainsFunc(side.CIDRs, func(c netip.Prefix) bool { return c.Contains(address) }) {
			continue
		}
		return fmt.Errorf("pod %s/%s got the address %s, which lies in none of its tenant's ranges %v: with addressing cidr Bulkhead tells tenants apart by their addresses, "+
			"so its firewall cannot be built; name the ranges that your IPAM gives to the namespace by --cidrs%s, or have the IPAM give it these (with Calico an IPPool, chosen for instance by --annotate%s 'cni.projectcalico.org/ipv4pools=[\"POOL\"]')",
			p.Namespace, p.Name, address, side.CIDRs, flag, flag)
	}
	return nil
}

// lacksImage tells whether a container waits for an image that the node tried to get, in the kubelet's words
// (pkg/kubelet/images/types.go).
func lacksImage(p *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(c corev1.ContainerStatus) bool {
		return c.State.Waiting != nil && slices.Contains([]string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}, c.State.Waiting.Reason)
	})
}

func isReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// state says why a pod does not run.
func state(p *corev1.Pod) string {
	parts := []string{strings.TrimSpace(fmt.Sprintf("phase %s %s", p.Status.Phase, p.Status.Message))}
	for _, condition := range p.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status != corev1.ConditionTrue {
			parts = append(parts, "not scheduled: "+condition.Message)
		}
	}
	for _, status := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		switch {
		case status.State.Waiting != nil && status.State.Waiting.Reason != "PodInitializing":
			parts = append(parts, fmt.Sprintf("container %s waits: %s %s", status.Name, status.State.Waiting.Reason, status.State.Waiting.Message))
		case status.State.Terminated != nil && status.State.Terminated.ExitCode != 0:
			parts = append(parts, fmt.Sprintf("container %s ended with %s: %s", status.Name, strconv.Itoa(int(status.State.Terminated.ExitCode)), status.State.Terminated.Message))
		}
	}
	return strings.Join(parts, "; ")
}

// hasSidecar tells whether a pod begins with Bulkhead's two containers, of an image that is not the probe's.
func hasSidecar(p *corev1.Pod) bool {
	containers := p.Spec.InitContainers
	return len(containers) >= 2 && containers[0].Name == config.InitContainer && containers[1].Name == config.FirewallContainer &&
		containers[0].Image == containers[1].Image && containers[0].Image != p.Spec.Containers[0].Image
}
