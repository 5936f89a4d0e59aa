// Package install puts software into the test bed's cluster the way its users do: by Helm charts.
package install

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
)

const certManagerModule = "github.com/cert-manager/cert-manager"

//go:embed certmanager.yaml
var certManagerValues []byte

// probeIssuer is created for a trial only. The webhook is behind it, so it is accepted when cert-manager's
// certificate, its CA bundle in the webhook configuration, and the way to the pod are all in place.
const probeIssuer = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: probe, namespace: default}
spec: {selfSigned: {}}
`

// CertManager installs cert-manager by its own chart, from the module that its binary was built of, and waits until
// its webhook answers.
func CertManager(ctx context.Context, c *cluster.Cluster) error {
	module := filepath.Join(c.Options().Testbed(), "certmanager")
	version, err := build.RequiredVersion(module, certManagerModule)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(c.KubectlPath()), "cert-manager-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	chart, err := copyChart(ctx, module, version, work)
	if err != nil {
		return fmt.Errorf("copy cert-manager's chart: %w", err)
	}
	values := filepath.Join(work, "values.yaml")
	if err := os.WriteFile(values, certManagerValues, 0o644); err != nil {
		return err
	}
	if err := c.LoadImages(ctx, image.CertManager(c.Binary(build.CertManager), version)...); err != nil {
		return err
	}
	_, err = c.Helm(ctx, "install", "cert-manager", chart, "--namespace", "cert-manager", "--create-namespace",
		"--values", values, "--wait", "--timeout", "2m")
	if err != nil {
		return err
	}
	probe := filepath.Join(work, "issuer.yaml")
	if err := os.WriteFile(probe, []byte(probeIssuer), 0o644); err != nil {
		return err
	}
	return c.Wait(ctx, "cert-manager's webhook to answer", time.Minute, func(ctx context.Context) error {
		_, err := c.Kubectl(ctx, "create", "--dry-run=server", "--filename", probe)
		return err
	})
}

// copyChart copies the chart out of the module and fills in the version, which upstream does when it releases.
func copyChart(ctx context.Context, module, version, to string) (string, error) {
	// A cached binary does not need its sources any more, but the chart is among them: this downloads them if they
	// are gone, and asks no proxy if they are there.
	download := exec.CommandContext(ctx, "go", "mod", "download", "-json", certManagerModule)
	download.Dir = module
	described, err := download.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", download, err, described)
	}
	var source struct{ Dir string }
	if err := json.Unmarshal(described, &source); err != nil {
		return "", fmt.Errorf("parse the output of %s: %w", download, err)
	}
	chart := filepath.Join(to, "cert-manager")
	if err := os.CopyFS(chart, os.DirFS(filepath.Join(source.Dir, "deploy", "charts", "cert-manager"))); err != nil {
		return "", err
	}
	return chart, setVersion(filepath.Join(chart, "Chart.yaml"), version)
}

func setVersion(file, version string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	filled := strings.ReplaceAll(string(content), "ersion: v0.0.0", "ersion: "+version)
	if filled == string(content) {
		return fmt.Errorf("%s has no version v0.0.0 to fill in", file)
	}
	// The module cache is read-only and its copy too.
	if err := os.Remove(file); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(filled), 0o644)
}
