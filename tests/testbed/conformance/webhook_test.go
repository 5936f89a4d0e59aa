package conformance

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
)

const address = "127.0.0.1"

const port = "8443"

// config makes Bulkhead what Kubernetes' own plugin is: the labels of namespaces decide where nobody is a tenant.
const config = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
exempt: {namespaces: [kube-system]}
unassigned: ignore
podSecurity: {namespaceLabels: honour}
workloadTemplates: warn
cluster:
  podCIDRs: [10.244.0.0/16]
  serviceCIDRs: [10.96.0.0/16]
  nodeCIDRs: [192.168.0.0/24]
  tenantCIDRs: [172.16.0.0/16]
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

// configuration is what the chart has for these resources, by URL.
const configuration = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: bulkhead-webhook}
webhooks:
  - name: validate.bulkhead.dev
    clientConfig: {url: "https://%s:%s/validate", caBundle: %s}
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    matchPolicy: Equivalent
    timeoutSeconds: 10
    rules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, podtemplates, replicationcontrollers]}
      - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [pods/ephemeralcontainers, pods/resize]}
      - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, replicasets, statefulsets, daemonsets]}
      - {apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [jobs, cronjobs]}
`

// startWebhook runs that bulkhead-webhook on the node, and returns its certificate when it refuses.
func startWebhook(t *testing.T, c *cluster.Cluster, webhook []byte) (certificate []byte) {
	t.Helper()
	crds := filepath.Join(c.Options().Repository, "charts", "bulkhead", "crds")
	if _, err := c.Kubectl(t.Context(), "apply", "-f", crds); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Kubectl(t.Context(), "wait", "--for=condition=Established", "-f", crds); err != nil {
		t.Fatal(err)
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(address, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	command := c.NodeCommand(context.WithoutCancel(t.Context()), place(t, c, "bulkhead-webhook", webhook),
		"--config="+place(t, c, "config.yaml", []byte(config)),
		"--kubeconfig="+place(t, c, "webhook.kubeconfig", kubeconfig(t, c)),
		"--tls-cert-file="+place(t, c, "webhook.crt", certificate),
		"--tls-private-key-file="+place(t, c, "webhook.key", key),
		"--bind-address="+address, "--secure-port="+port,
		"--leader-elect=false", "--shutdown-delay=0s",
	)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// What enters the node's namespaces; what runs in them ends with the cluster.
		if err := command.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = command.Wait() // says that it was killed
		if text, err := os.ReadFile(log.Name()); err != nil || t.Failed() {
			t.Logf("bulkhead-webhook: %v\n%s", err, text)
		}
	})
	err = c.Wait(t.Context(), "the webhook to be ready", time.Minute, func(ctx context.Context) error {
		connection, err := c.Dial(ctx, "tcp", address+":"+port)
		if err != nil {
			return err
		}
		return tls.Client(connection, &tls.Config{InsecureSkipVerify: true}).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(configuration, address, port, base64.StdEncoding.EncodeToString(certificate))
	if _, err := c.Kubectl(t.Context(), "apply", "-f", place(t, c, "webhooks.yaml", []byte(text))); err != nil {
		t.Fatal(err)
	}
	err = c.Wait(t.Context(), "the webhook to refuse", time.Minute, func(context.Context) error {
		err := createPrivileged(t, c)
		if err == nil || !strings.Contains(err.Error(), "pss-privileged") {
			return fmt.Errorf("a privileged pod: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// build compiles bulkhead-webhook from the sources as they are.
func build(t *testing.T, repository string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "bulkhead-webhook")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", out, "./cmd/bulkhead-webhook")
	command.Dir, command.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if text, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	binary, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// kubeconfig is the administrator's, by the API server's address on the node.
func kubeconfig(t *testing.T, c *cluster.Cluster) []byte {
	t.Helper()
	admin, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	inside, err := clientcmd.BuildConfigFromFlags("", filepath.Join(filepath.Dir(c.Kubeconfig()), "controller-manager.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range admin.Clusters {
		cluster.Server = inside.Host
	}
	if err := clientcmd.ResolveLocalPaths(admin); err != nil {
		t.Fatal(err)
	}
	data, err := clientcmd.Write(*admin)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// place writes a file that the node sees, and may run.
func place(t *testing.T, c *cluster.Cluster, name string, content []byte) string {
	t.Helper()
	path, err := c.WriteFile(name, content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
