package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// Requests that must be refused are made for a trial (dry run): should they be admitted, nothing comes of them.

// refusalText returns what a refusal at admission says, or nothing if the error is another.
func refusalText(err error) string {
	said := err.Error()
	// Webhooks say the first, ValidatingAdmissionPolicies the second.
	if !apierrors.IsForbidden(err) || !strings.Contains(said, "denied the request") && !strings.Contains(said, "denied request") {
		return ""
	}
	return said
}

var ruleID = regexp.MustCompile(`\b(?:fw|pss|svc)-[a-z-]+[a-z]`)

// ruleIDs are the rules of Bulkhead that a refusal names.
func ruleIDs(said string) []string { return ruleID.FindAllString(said, -1) }

// judged is what a request came to that one of these rules must refuse.
func (s *stage) judged(err error, rules ...string) (Outcome, string, error) {
	denied, how, err := s.refusal(err, rules...)
	switch {
	case err != nil:
		return "", "", err
	case denied:
		return Denied, how, nil
	}
	return Reached, how, nil
}

// admission creates a pod for a trial.
func (s *stage) admission(ctx context.Context, manifest *corev1.Pod, rules ...string) (Outcome, string, error) {
	_, err := s.try(ctx, manifest)
	return s.judged(err, rules...)
}

func (s *stage) try(ctx context.Context, manifest *corev1.Pod) (*corev1.Pod, error) {
	return s.client.CoreV1().Pods(manifest.Namespace).Create(ctx, manifest, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
}

// deniedBy is the script of a pod of bob's that one of these rules must refuse.
func deniedBy(change change, rules ...string) play {
	return func(ctx context.Context, s *stage) (Outcome, string, error) {
		return s.admission(ctx, s.manifest(s.b.namespace, "denied", change), rules...)
	}
}

// dryRun is the script of such a pod without Bulkhead: nobody refuses it.
func dryRun(change change) play {
	return func(ctx context.Context, s *stage) (Outcome, string, error) {
		if _, err := s.try(ctx, s.manifest(s.b.namespace, "admitted", change)); err != nil {
			return Blocked, err.Error(), nil
		}
		return Reached, "the API server admits it", nil
	}
}

func unsafeSysctl(p *corev1.Pod) {
	p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.ipv4.conf.all.route_localnet", Value: "1"}}}
}

func hostFiles(p *corev1.Pod) {
	p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{
		Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}},
	})
}

func hostNetwork(p *corev1.Pod) { p.Spec.HostNetwork = true }

func unconfined(p *corev1.Pod) {
	p.Spec.SecurityContext = &corev1.PodSecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}
}

func rdmaDevice(p *corev1.Pod) {
	p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"rdma/hca_shared_devices_a": resource.MustParse("1")}
}

func chosenAddress(p *corev1.Pod) {
	p.Annotations["cni.projectcalico.org/ipAddrs"] = `["198.51.100.20"]`
}

func sharedProcesses(p *corev1.Pod) {
	yes := true
	p.Spec.ShareProcessNamespace = &yes
}

// addDebugger patches a pod as kubectl debug does.
func (s *stage) addDebugger(ctx context.Context, p *pod, dryRun ...string) error {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": s.debugger(p).Spec.EphemeralContainers}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{DryRun: dryRun}, "ephemeralcontainers")
	return err
}

// optOut asks not to get the sidecar, in the words of other injectors and in Bulkhead's own.
func optOut(ctx context.Context, s *stage) (Outcome, string, error) {
	admitted, err := s.try(ctx, s.manifest(s.b.namespace, "opt-out", func(p *corev1.Pod) {
		for _, key := range []string{"sidecar.istio.io/inject", "linkerd.io/inject", "bulkhead.dev/inject", "bulkhead.dev/sidecar"} {
			p.Annotations[key], p.Labels[key] = "false", "false"
		}
		p.Annotations["bulkhead.dev/status"] = "injected"
		p.Labels["bulkhead.dev/exempt"] = "true"
	}))
	if err != nil {
		return "", "", err
	}
	if hasSidecar(admitted) {
		return Blocked, "the sidecar is put in nevertheless", nil
	}
	return Reached, "there is no sidecar in it", nil
}

// impostor brings containers of the sidecar's names: an ordinary one is refused, init containers are replaced.
func impostor(ctx context.Context, s *stage) (Outcome, string, error) {
	replaced, err := s.try(ctx, s.manifest(s.b.namespace, "impostor", func(p *corev1.Pod) {
		always := corev1.ContainerRestartPolicyAlways
		watcher := s.container(config.FirewallContainer, "serve")
		watcher.RestartPolicy = &always
		p.Spec.InitContainers = []corev1.Container{s.container(config.InitContainer, "addresses"), watcher}
	}))
	switch {
	case err != nil && refusalText(err) == "":
		return "", "", err
	case err == nil && !hasSidecar(replaced):
		return Reached, "its own init containers stand for the sidecar", nil
	}
	return s.admission(ctx, s.manifest(s.b.namespace, "impostor", func(p *corev1.Pod) {
		p.Spec.Containers = append(p.Spec.Containers, s.container(config.FirewallContainer, "serve"))
	}), "fw-reserved-name")
}

// replaceImage puts another program in the place of what holds the rules.
func replaceImage(ctx context.Context, s *stage) (Outcome, string, error) {
	bob, err := s.ruledAttacker(ctx, "replaced")
	if err != nil {
		return "", "", err
	}
	return s.judged(s.setImage(ctx, bob, "containers", rules), "fw-sidecar-unchanged")
}

func imageIsKept(ctx context.Context, s *stage) (Outcome, string, error) {
	return s.judged(s.setImage(ctx, s.b.client, "initContainers", config.FirewallContainer), "fw-sidecar-unchanged", "fw-sidecar-genuine")
}

// setImage does what kubectl set image does, for a trial.
func (s *stage) setImage(ctx context.Context, p *pod, field, container string) error {
	patch := fmt.Sprintf(`{"spec":{%q:[{"name":%q,"image":"registry.invalid/nothing:1"}]}}`, field, container)
	_, err := s.client.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// execIsDenied asks for exec without the upgrade of the connection that would follow: admission comes first.
func execIsDenied(ctx context.Context, s *stage) (Outcome, string, error) {
	err := s.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(s.b.namespace).Name(s.b.client.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: config.FirewallContainer, Command: []string{probe.Path, "flush"}, Stdout: true}, scheme.ParameterCodec).
		Do(ctx).Error()
	if apierrors.IsBadRequest(err) {
		return Reached, "admitted: " + err.Error(), nil // it asks for the upgrade
	}
	return s.judged(err, "fw-sidecar-exec")
}
