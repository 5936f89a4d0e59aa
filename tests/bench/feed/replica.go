//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// webhookConfig is the least: the cluster's ranges are configured, for there are no
// Nodes to tell them.
const webhookConfig = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
cluster: {podCIDRs: [` + podRange + `], serviceCIDRs: [` + serviceRange + `], nodeCIDRs: [` + nodeRange + `]}
sidecar: {image: registry.example/bulkhead/firewall:1}
`

// memoryLimit is the chart's, of which Go's garbage collector is told there too.
const memoryLimit = "512MiB"

// webhook is what its replicas are started with.
type webhook struct {
	dir, binary string
	roots       *x509.CertPool
	count       int
}

func newWebhook(ctx context.Context, dir string, c *controlPlane) (*webhook, error) {
	w := &webhook{dir: dir, binary: filepath.Join(dir, "bulkhead-webhook"), roots: x509.NewCertPool()}
	command := exec.CommandContext(ctx, "go", "build", "-o", w.binary, "github.com/bulkhead-dev/bulkhead/cmd/bulkhead-webhook")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the webhook: %w\n%s", err, out)
	}
	err := errors.Join(
		os.WriteFile(w.file("config.yaml"), []byte(webhookConfig), 0o600),
		os.WriteFile(w.file("kubeconfig"), []byte(c.kubeconfig()), 0o600),
		writePair(w.file("webhook.crt"), w.file("webhook.key"), serverName, loopback),
	)
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(w.file("webhook.crt"))
	if err != nil {
		return nil, err
	}
	w.roots.AppendCertsFromPEM(ca)
	return w, nil
}

func (w *webhook) file(name string) string { return filepath.Join(w.dir, name) }

// replica is a webhook that serves.
type replica struct {
	*process
	feed string // address
	// ready is how long it took to be.
	ready time.Duration
}

// start returns when the replica is ready, which is when it has read the cluster, and, if
// it is to be the leader, keeps the Tenants' status.
func (w *webhook) start(ctx context.Context, leader bool) (*replica, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	w.count++
	began := time.Now()
	p, err := startProcess(w.dir, fmt.Sprintf("webhook-%d", w.count), []string{"GOMEMLIMIT=" + memoryLimit}, w.binary,
		"--config", w.file("config.yaml"), "--kubeconfig", w.file("kubeconfig"),
		"--tls-cert-file", w.file("webhook.crt"), "--tls-private-key-file", w.file("webhook.key"),
		"--bind-address", loopback, "--secure-port", fmt.Sprint(ports[0]),
		"--feed-service", ownNamespace+"/"+ownService, "--feed-port", fmt.Sprint(ports[1]), "--feed-ca-file", w.file("webhook.crt"),
		"--lease-namespace", ownNamespace, "--shutdown-delay", "1s")
	if err != nil {
		return nil, err
	}
	r := &replica{process: p, feed: fmt.Sprintf("%s:%d", loopback, ports[1])}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}, DisableKeepAlives: true}}
	err = p.await(ctx, "the webhook to be ready", func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s:%d/readyz", loopback, ports[0]), nil)
		if err != nil {
			return err
		}
		answer, err := client.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return errors.New(answer.Status)
		}
		return nil
	})
	if err != nil {
		p.kill()
		return nil, err
	}
	r.ready = time.Since(began)
	if !leader {
		return r, nil
	}
	return r, p.await(ctx, "the webhook to lead", func(context.Context) error {
		text, err := os.ReadFile(p.log)
		if err == nil && !bytes.Contains(text, []byte("Leading")) {
			err = errors.New("it does not lead")
		}
		return err
	})
}

// stop lets the replica end in order: the next one leads at once.
func (r *replica) stop() {
	_ = r.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-r.ended:
	case <-time.After(time.Minute):
		r.kill()
	}
}
