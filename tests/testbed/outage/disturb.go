package outage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Names in Bulkhead's chart, and what its replicas take to come.
const (
	webhook     = "bulkhead-webhook"
	containerOf = "webhook"
	deadline    = time.Minute
)

var webhookPods = metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + webhook}

// replicas are the webhook's pods that are not on their way out.
func (r *run) replicas(ctx context.Context) ([]corev1.Pod, error) {
	list, err := r.Client().CoreV1().Pods(install.Namespace).List(ctx, webhookPods)
	if err != nil {
		return nil, err
	}
	var live []corev1.Pod
	for _, pod := range list.Items {
		if pod.DeletionTimestamp == nil {
			live = append(live, pod)
		}
	}
	return live, nil
}

// waitReplicas waits until two replicas are Ready, none of them the given.
func (r *run) waitReplicas(ctx context.Context, gone ...types.UID) error {
	return r.Wait(ctx, "two replicas", deadline, func(ctx context.Context) error {
		pods, err := r.replicas(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, pod := range pods {
			for _, condition := range pod.Status.Conditions {
				if condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue && !slices.Contains(gone, pod.UID) {
					ready++
				}
			}
		}
		if ready != 2 || len(pods) != 2 {
			return fmt.Errorf("%d of %d are ready", ready, len(pods))
		}
		return nil
	})
}

// deleteReplicas deletes each replica in good order, as a drained node does.
func (r *run) deleteReplicas(ctx context.Context) error {
	pods, err := r.replicas(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := r.Client().CoreV1().Pods(install.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		if err := r.waitReplicas(ctx, pod.UID); err != nil {
			return err
		}
	}
	return nil
}

// killReplicas ends the process of each replica as the kernel does when memory is short.
func (r *run) killReplicas(ctx context.Context) error {
	pods, err := r.replicas(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := r.kill(ctx, &pod); err != nil {
			return err
		}
		if err := r.waitRestarted(ctx, &pod); err != nil {
			return err
		}
	}
	return nil
}

// killAll ends all replicas at once. Nobody starts them again but the kubelet.
func (r *run) killAll(ctx context.Context) error {
	pods, err := r.replicas(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		if err := r.kill(ctx, &pod); err != nil {
			return err
		}
	}
	for _, pod := range pods {
		if err := r.waitRestarted(ctx, &pod); err != nil {
			return err
		}
	}
	return r.waitAdmitted(ctx)
}

func (r *run) kill(ctx context.Context, pod *corev1.Pod) error {
	pid, err := r.ContainerPID(ctx, pod, containerOf)
	if err != nil {
		return err
	}
	_, err = r.NodeExec(ctx, "kill", "-KILL", pid)
	return err
}

// waitRestarted waits until the kubelet has started the pod's container again and calls it Ready.
func (r *run) waitRestarted(ctx context.Context, before *corev1.Pod) error {
	_, err := r.WaitPod(ctx, before.Namespace, before.Name, "to be started again", func(pod *corev1.Pod) bool {
		now, was := pod.Status.ContainerStatuses, before.Status.ContainerStatuses
		return len(now) == 1 && now[0].Ready && now[0].RestartCount > was[0].RestartCount
	})
	return err
}

// waitAdmitted waits until a good pod is admitted.
func (r *run) waitAdmitted(ctx context.Context) error {
	return r.Wait(ctx, "a good pod to be admitted", deadline, func(ctx context.Context) error {
		_, err := r.stream.try(ctx, ordinary(alice))
		return err
	})
}

// renewCertificate has cert-manager issue the serving certificate anew, as cmctl renew does, and waits until every
// replica serves it.
func (r *run) renewCertificate(ctx context.Context) error {
	pods, err := r.replicas(ctx)
	if err != nil {
		return err
	}
	old, err := r.serial(ctx, &pods[0])
	if err != nil {
		return err
	}
	const issuing = `{"status":{"conditions":[{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"for a trial","lastTransitionTime":"%s"}]}}`
	if _, err := r.Kubectl(ctx, "patch", "certificates.cert-manager.io", "bulkhead-webhook", "--namespace", install.Namespace,
		"--subresource", "status", "--type", "merge", "--patch", fmt.Sprintf(issuing, time.Now().UTC().Format(time.RFC3339))); err != nil {
		return err
	}
	if err := r.Wait(ctx, "cert-manager to issue", deadline, func(ctx context.Context) error {
		secret, err := r.Client().CoreV1().Secrets(install.Namespace).Get(ctx, "bulkhead-webhook-tls", metav1.GetOptions{})
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			return err
		}
		if pair.Leaf.SerialNumber.String() == old {
			return errors.New("the secret holds the old one")
		}
		return nil
	}); err != nil {
		return err
	}
	for _, pod := range pods {
		// The kubelet looks at a pod's secrets once a minute, or when the pod changes.
		patch := []byte(`{"metadata":{"annotations":{"testbed/look": "now"}}}`)
		if _, err := r.Client().CoreV1().Pods(install.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			return err
		}
	}
	for _, pod := range pods {
		if err := r.Wait(ctx, pod.Name+" to serve the new certificate", 2*deadline, func(ctx context.Context) error {
			serial, err := r.serial(ctx, &pod)
			if err == nil && serial == old {
				err = errors.New("it serves the old one")
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// serial is that of the certificate that a replica serves.
func (r *run) serial(ctx context.Context, pod *corev1.Pod) (string, error) {
	conn, err := r.Dial(ctx, "tcp", net.JoinHostPort(pod.Status.PodIP, "8443"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	// Only to look at: it is the API server that must trust it.
	client := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	if err := client.HandshakeContext(ctx); err != nil {
		return "", err
	}
	return client.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

// restartAPIServer ends the API server as a crash does and starts it again. From its first answer on it must ask what
// it asked before.
func (r *run) restartAPIServer(ctx context.Context) error {
	if err := r.StopComponent(ctx, cluster.APIServer, syscall.SIGKILL); err != nil {
		return err
	}
	if err := r.StartComponent(cluster.APIServer); err != nil {
		return err
	}
	if err := r.WaitAPIServer(ctx); err != nil {
		return err
	}
	return r.waitAdmitted(ctx)
}

// withoutReplicas scales the webhook to nothing, and tries what must still be refused and what must go on.
func (r *run) withoutReplicas(ctx context.Context, pod *corev1.Pod) error {
	if err := r.scale(ctx, 0); err != nil {
		return err
	}
	if err := r.stream.refusedBy(ctx, attack(alice), "failed calling webhook"); err != nil {
		return err
	}
	// What the system needs starts, and is no tenant's to create.
	system, err := r.startPod(ctx, metav1.NamespaceSystem)
	if err != nil {
		return err
	}
	if err := r.DeletePod(ctx, system.Namespace, system.Name); err != nil {
		return err
	}
	return r.oldPod(ctx, pod)
}

// oldPod: a tenant's pod that runs can be counted, finalized and deleted by controllers, and its firewall is not to be
// entered.
func (r *run) oldPod(ctx context.Context, pod *corev1.Pod) error {
	pods := r.Client().CoreV1().Pods(pod.Namespace)
	for _, patch := range []string{
		`{"metadata":{"labels":{"seen":"yes"},"finalizers":["testbed/hold"]}}`,
		`{"metadata":{"finalizers":null}}`,
	} {
		if _, err := pods.Patch(ctx, pod.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			return fmt.Errorf("patch %s: %w", patch, err)
		}
	}
	_, err := r.Exec(ctx, pod.Namespace, pod.Name, "bulkhead-firewall", "/none")
	if err == nil || !strings.Contains(err.Error(), "fw-sidecar-exec") {
		return fmt.Errorf("exec into the firewall is not refused by the policy: %w", err)
	}
	return r.DeletePod(ctx, pod.Namespace, pod.Name)
}

func (r *run) scale(ctx context.Context, replicas int) error {
	if _, err := r.Kubectl(ctx, "scale", "deployment", webhook, "--namespace", install.Namespace, fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	return r.Wait(ctx, "the replicas to be gone", deadline, func(ctx context.Context) error {
		list, err := r.Client().CoreV1().Pods(install.Namespace).List(ctx, webhookPods)
		if err == nil && len(list.Items) != replicas {
			err = fmt.Errorf("%d replicas", len(list.Items))
		}
		return err
	})
}

// withoutWebhooks is what a hasty administrator does to "repair" a cluster: both webhook configurations go. Pods
// without a tenant start then; tenants' do not, as nobody gives them a firewall, and attacks are refused.
func (r *run) withoutWebhooks(ctx context.Context) error {
	if _, err := r.Kubectl(ctx, "delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", webhook); err != nil {
		return err
	}
	// The API server sees its configuration change a moment later.
	if err := r.Wait(ctx, "the policy to refuse", 10*time.Second, func(ctx context.Context) error {
		return r.stream.refusedBy(ctx, attack(alice), "'bulkhead-pods' denied request: pss-privileged: ")
	}); err != nil {
		return err
	}
	for _, pod := range []*corev1.Pod{ordinary(alice), unconfined(alice)} {
		if err := r.stream.refusedBy(ctx, pod, "fw-sidecar-genuine: "); err != nil {
			return err
		}
	}
	if err := r.attacks(ctx); err != nil {
		return err
	}
	_, err := r.stream.try(ctx, ordinary(metav1.NamespaceDefault))
	return err
}

// attacks tries the pods with which the chart's own tests try the policy.
func (r *run) attacks(ctx context.Context) error {
	content, err := os.ReadFile(filepath.Join(r.Options().Repository, "charts", "testdata", "core.yaml"))
	if err != nil {
		return err
	}
	var attacks []struct {
		Name, Rule        string
		Harmless, Invalid bool
		Spec              corev1.PodSpec
	}
	if err := yaml.UnmarshalStrict(content, &attacks); err != nil {
		return err
	}
	for _, attack := range attacks {
		words := attack.Rule + ": "
		if attack.Invalid {
			words = "is invalid: "
		}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: alice, Name: "attack"}, Spec: attack.Spec}
		if err := r.stream.refusedBy(ctx, pod, words); err != nil {
			return fmt.Errorf("%s: %w", attack.Name, err)
		}
	}
	r.log.Printf("    %d attacks of charts/testdata/core.yaml: all refused by the API server alone", len(attacks))
	return nil
}

// upgrade brings back what the chart says: the webhook configurations and the replicas.
func (r *run) upgrade(ctx context.Context) error {
	if _, err := r.Helm(ctx, "upgrade", "bulkhead", filepath.Join(r.Options().Repository, "charts", "bulkhead"),
		"--namespace", install.Namespace, "--reuse-values", "--wait", "--timeout", "1m"); err != nil {
		return err
	}
	if err := r.waitReplicas(ctx); err != nil {
		return err
	}
	if err := r.waitAdmitted(ctx); err != nil {
		return err
	}
	return r.stream.refusedBy(ctx, unconfined(alice), "denied the request")
}

// startPod creates a pod for real, and waits until it runs.
func (r *run) startPod(ctx context.Context, namespace string) (*corev1.Pod, error) {
	pod := ordinary(namespace)
	pod.Name = "for-real"
	pod.Spec.Containers[0].Image = image.PauseName
	if _, err := r.Client().CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	return r.WaitPodReady(ctx, namespace, pod.Name)
}
