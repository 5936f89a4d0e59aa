//go:build linux

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/certs"
)

const (
	loopback = "127.0.0.1"
	// The cluster's ranges. There are no nodes, and nobody answers at these addresses.
	podRange, serviceRange, nodeRange = "10.128.0.0/9", "10.96.0.0/12", "192.0.2.0/24"

	adminToken   = "administrator"
	webhookToken = "webhook"
	webhookUser  = "system:serviceaccount:" + ownNamespace + ":bulkhead-webhook"
)

// controlPlane is an etcd and an API server on the loopback: no controllers, no
// scheduler, no kubelet. What those would write, the benchmark writes.
type controlPlane struct {
	etcd, server *process
	address, ca  string // of the server, and the file of its certificate
	kube         kubernetes.Interface
	dynamic      dynamic.Interface
}

// startControlPlane runs the test bed's binary, which is all of Kubernetes.
func startControlPlane(ctx context.Context, dir, binary string) (_ *controlPlane, err error) {
	c := &controlPlane{ca: filepath.Join(dir, "apiserver.crt")}
	defer func() {
		if err != nil {
			c.stop()
		}
	}()
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	client, peer := fmt.Sprintf("http://%s:%d", loopback, ports[0]), fmt.Sprintf("http://%s:%d", loopback, ports[1])
	// It must hold all versions of all objects until the API server compacts, after
	// five to ten minutes.
	if c.etcd, err = startProcess(dir, "etcd", nil, binary, "etcd", "--data-dir="+filepath.Join(dir, "etcd"),
		"--unsafe-no-fsync", "--log-level=warn", "--quota-backend-bytes=17179869184",
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return nil, err
	}
	c.address = fmt.Sprintf("https://%s:%d", loopback, ports[2])
	flags, err := c.serverFlags(dir)
	if err != nil {
		return nil, err
	}
	if c.server, err = startProcess(dir, "apiserver", []string{"GOMEMLIMIT=8GiB"}, binary, append(flags, "--etcd-servers="+client, fmt.Sprintf("--secure-port=%d", ports[2]))...); err != nil {
		return nil, err
	}
	if err := c.connect(); err != nil {
		return nil, err
	}
	err = c.server.await(ctx, "the API server to be ready", func(ctx context.Context) error {
		return c.kube.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	if err != nil {
		return nil, err
	}
	return c, c.letWebhookIn(ctx)
}

func (c *controlPlane) serverFlags(dir string) ([]string, error) {
	if err := writePair(c.ca, filepath.Join(dir, "apiserver.key"), "localhost", loopback); err != nil {
		return nil, err
	}
	tokens, signing := filepath.Join(dir, "tokens.csv"), filepath.Join(dir, "service-account.key")
	text := fmt.Sprintf("%s,administrator,1,system:masters\n%s,%s,2,system:serviceaccounts\n", adminToken, webhookToken, webhookUser)
	if err := errors.Join(os.WriteFile(tokens, []byte(text), 0o600), writeKey(signing)); err != nil {
		return nil, err
	}
	return []string{
		"kube-apiserver", "--bind-address=" + loopback,
		"--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none", // nobody asks, and the loopback is refused
		"--tls-cert-file=" + c.ca, "--tls-private-key-file=" + filepath.Join(dir, "apiserver.key"),
		"--token-auth-file=" + tokens, "--authorization-mode=RBAC", "--allow-privileged",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + signing, "--service-account-signing-key-file=" + signing,
		"--service-cluster-ip-range=" + serviceRange,
	}, nil
}

// connect makes the benchmark's own clients. They are not slowed down: how many of them
// write at a time is bounded.
func (c *controlPlane) connect() error {
	config := &rest.Config{Host: c.address, BearerToken: adminToken, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAFile: c.ca}}
	var err error
	if c.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	c.kube, err = kubernetes.NewForConfig(config)
	return err
}

// letWebhookIn gives the webhook all rights. It is a service account, as it would be,
// so that the API server bounds what it asks as it would.
func (c *controlPlane) letWebhookIn(ctx context.Context) error {
	_, err := c.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "webhook"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: webhookUser}},
	}, metav1.CreateOptions{})
	return err
}

func (c *controlPlane) stop() {
	for _, p := range []*process{c.server, c.etcd} {
		if p != nil {
			p.kill()
		}
	}
}

// kubeconfig is the webhook's.
func (c *controlPlane) kubeconfig() string {
	return fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], clusters: [{name: a, cluster: {server: %q, certificate-authority: %q}}], users: [{name: a, user: {token: %q}}]}", c.address, c.ca, webhookToken)
}

// writePair writes a certificate that is its own CA, and its key.
func writePair(certificateFile, keyFile string, hosts ...string) error {
	pair, err := certs.SelfSigned(hosts...)
	if err != nil {
		return err
	}
	certificate, key := pair.CurrentCertKeyContent()
	return errors.Join(os.WriteFile(certificateFile, certificate, 0o600), os.WriteFile(keyFile, key, 0o600))
}

func writeKey(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), 0o600)
}
