package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/host"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/image"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// startLimit is more than any component needs to start; on an idle machine it is seconds.
	startLimit = 3 * time.Minute

	nodeName         = "node"
	apiServerPort    = 6443
	etcdURL          = "http://127.0.0.1:2379" // the node's loopback, which nothing outside the node can reach
	containerdSocket = runDir + "/containerd.sock"
)

//go:embed containerd.toml
var containerdTemplate string

//go:embed kubelet.yaml
var kubeletTemplate string

// placeBinaries puts the node's programs into one folder: ours by copy, because the repository may lie below a folder
// that the node hides, the CNI plugins by link. The components are one binary under many names.
func (c *Cluster) placeBinaries() error {
	for name, target := range map[string]string{
		"kubernetes": build.Kubernetes, "pause": build.Pause,
		build.IPAM: build.IPAM, build.Second: build.Second, build.Outside: build.Outside,
		build.Stream: build.Stream,
	} {
		if err := copyFile(c.binaries[target], filepath.Join(binDir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{Etcd, APIServer, ControllerManager, Scheduler, Kubelet, KubeProxy, "kubectl"} {
		if err := os.Symlink("kubernetes", filepath.Join(binDir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"bridge", "ptp", "macvlan", "loopback", "host-local"} {
		if err := os.Symlink(filepath.Join(host.CNIDir, name), filepath.Join(binDir, name)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	// A hard link is free; it is refused between file systems.
	if err := os.Link(from, to); err == nil {
		return nil
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

func (c *Cluster) startContainerd(ctx context.Context) error {
	config, err := c.network.cniConfig()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(cniDir, "testbed.conflist"), config, 0o644); err != nil {
		return err
	}
	path, err := c.render("containerd.toml", containerdTemplate)
	if err != nil {
		return err
	}
	if err := c.node.run(Containerd, Containerd, "--config", path); err != nil {
		return err
	}
	return c.Wait(ctx, "containerd to answer", startLimit, func(ctx context.Context) error {
		_, err := c.NodeExec(ctx, ctr("version")...)
		return err
	})
}

func (c *Cluster) startControlPlane(ctx context.Context) error {
	services := "--service-cluster-ip-range=" + strings.Join(c.network.ServiceCIDRs, ",")
	if err := c.node.run(Etcd, Etcd, "--data-dir="+runDir+"/etcd", "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL, "--listen-peer-urls=http://127.0.0.1:2380"); err != nil {
		return err
	}
	server := []string{APIServer, "--etcd-servers=" + etcdURL, services,
		"--advertise-address=" + c.network.Node[0], fmt.Sprintf("--secure-port=%d", apiServerPort),
		"--allow-privileged", "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--client-ca-file=" + pki("ca.crt"), "--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
		"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"), "--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + pki("service-account.pub"), "--service-account-signing-key-file=" + pki("service-account.key"),
	}
	if err := c.node.run(APIServer, append(server, c.options.APIServerFlags...)...); err != nil {
		return err
	}
	if err := c.WaitAPIServer(ctx); err != nil {
		return err
	}
	// Not before the API server is ready: their first tries would fail, and back off for long.
	controllers := []string{ControllerManager, "--kubeconfig=" + pki("controller-manager.kubeconfig"), "--leader-elect=false",
		"--use-service-account-credentials", "--root-ca-file=" + pki("ca.crt"),
		"--service-account-private-key-file=" + pki("service-account.key"), services,
		"--allocate-node-cidrs", "--cluster-cidr=" + strings.Join(c.network.PodCIDRs, ","),
	}
	if err := c.node.run(ControllerManager, append(controllers, c.network.nodeMasks()...)...); err != nil {
		return err
	}
	// Pods need their namespace's service account, which the controller manager makes.
	return c.Wait(ctx, "the controller manager's first service account", startLimit, func(ctx context.Context) error {
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// WaitAPIServer waits until the API server is ready. It uses a client of its own: client-go's would put failures of a
// server that is not up yet into its back-off.
func (c *Cluster) WaitAPIServer(ctx context.Context) error {
	ca, err := os.ReadFile(pki("ca.crt"))
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
	return c.waitOK(ctx, "the API server to be ready", client, c.config.Host+"/readyz")
}

// startNodeAgents starts what a node has, and waits until it can run pods.
func (c *Cluster) startNodeAgents(ctx context.Context) error {
	if err := os.WriteFile(runDir+"/resolv.conf", nil, 0o644); err != nil {
		return err
	}
	config, err := c.render("kubelet.yaml", kubeletTemplate)
	if err != nil {
		return err
	}
	if err := c.node.run(Scheduler, Scheduler, "--kubeconfig="+pki("scheduler.kubeconfig"), "--leader-elect=false"); err != nil {
		return err
	}
	if err := c.node.run(Kubelet, Kubelet, "--config="+config, "--kubeconfig="+pki("kubelet.kubeconfig"),
		"--hostname-override="+nodeName, "--node-ip="+strings.Join(c.network.Node, ","),
		"--root-dir="+runDir+"/kubelet", "--cert-dir="+pkiDir); err != nil {
		return err
	}
	// Zero leaves the connection tracking limits as they are; they are the whole machine's.
	if err := c.node.run(KubeProxy, KubeProxy, "--kubeconfig="+pki("proxy.kubeconfig"), "--hostname-override="+nodeName,
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
		"--proxy-mode="+string(c.options.proxyMode())); err != nil {
		return err
	}
	if err := c.node.run(outsideHost, outside(append([]string{build.Outside, OutsideName}, c.network.Outside...)...)...); err != nil {
		return err
	}
	return c.WaitNode(ctx)
}

// WaitNode waits until the node is Ready.
func (c *Cluster) WaitNode(ctx context.Context) error {
	return c.Wait(ctx, "the node to be Ready", startLimit, func(ctx context.Context) error {
		node, err := c.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
			if condition.Type == corev1.NodeReady {
				return errors.New(condition.Message)
			}
		}
		return errors.New("it has no Ready condition")
	})
}

// render fills in one of the embedded configuration files and returns its path.
func (c *Cluster) render(name, text string) (string, error) {
	v2, err := unified()
	if err != nil {
		return "", err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var content bytes.Buffer
	err = parsed.Execute(&content, map[string]any{
		"Run": runDir, "Bin": binDir, "CNI": cniDir, "PKI": pkiDir, "Socket": containerdSocket,
		"Pause": image.PauseName, "CgroupRoot": "/" + cgroupName, "CgroupV2": v2,
	})
	if err != nil {
		return "", err
	}
	path := filepath.Join(runDir, name)
	return path, os.WriteFile(path, content.Bytes(), 0o644)
}
