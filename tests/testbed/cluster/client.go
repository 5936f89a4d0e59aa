package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// pollInterval is how often a condition is looked at that cannot be watched.
const pollInterval = 50 * time.Millisecond

// Kubeconfig is the path of the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return pki("admin.kubeconfig") }

// KubectlPath is the path of the cluster's own kubectl.
func (c *Cluster) KubectlPath() string { return filepath.Join(binDir, "kubectl") }

// RESTConfig is the administrator's client configuration. The caller may change its copy.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Client is the administrator's client.
func (c *Cluster) Client() kubernetes.Interface { return c.client }

// connect makes the administrator's kubeconfig and client. No rate limit: there is one client, and the server has its
// own.
func (c *Cluster) connect() error {
	if err := writeKubeconfig("admin", c.forward.url()); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return err
	}
	config.QPS = -1
	config.WarningHandlerWithContext = rest.NoWarnings{} // they are for a person, who has kubectl
	c.config = config
	c.client, err = kubernetes.NewForConfig(config)
	return err
}

// Kubectl runs kubectl as administrator and returns its stdout.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.tool(ctx, c.KubectlPath(), args...)
}

// Helm runs helm as administrator and returns its stdout. Its caches are in the run folder, not in the caller's home.
func (c *Cluster) Helm(ctx context.Context, args ...string) (string, error) {
	return c.tool(ctx, c.binaries["helm"], args...)
}

func (c *Cluster) tool(ctx context.Context, path string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, path, args...)
	command.Env = []string{"KUBECONFIG=" + c.Kubeconfig(), "HOME=" + homeDir}
	return output(command)
}

// output runs a command and returns its stdout; its stderr is part of the error.
func output(command *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(command.Args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Wait calls f until it returns nil, and gives up after the limit with f's last error, or at once when a component of
// the cluster has ended.
func (c *Cluster) Wait(ctx context.Context, what string, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		// An error that comes of the limit itself says less than the one before it.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if failed := c.node.failure(); failed != nil {
			return fmt.Errorf("wait for %s: %w", what, failed)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w: %w", what, context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}
