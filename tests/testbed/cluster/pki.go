package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// authority is the cluster's one certificate authority. It and all that it signs live as long as the cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// identity is a certificate to issue: a client if there are no addresses and names, otherwise a server as well.
// See "PKI certificates and requirements" in the Kubernetes documentation for who needs which.
type identity struct {
	file      string
	user      string
	groups    []string
	names     []string
	addresses []net.IP
	server    string // with a kubeconfig for this server, if set
}

// issueCertificates writes NAME.crt and NAME.key for every component into the pki folder, and kubeconfigs.
func issueCertificates(network Network) error {
	ca, err := newAuthority()
	if err != nil {
		return err
	}
	addresses, err := network.apiServerAddresses()
	if err != nil {
		return err
	}
	var node []net.IP
	for _, address := range network.Node {
		node = append(node, net.ParseIP(address))
	}
	inside := fmt.Sprintf("https://%s:%d", network.Node[0], apiServerPort)
	identities := []identity{
		{file: "apiserver", user: "kube-apiserver", addresses: addresses, names: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{file: "apiserver-kubelet-client", user: "kube-apiserver-kubelet-client", groups: []string{"system:masters"}},
		{file: "admin", user: "kubernetes-admin", groups: []string{"system:masters"}},
		{file: "controller-manager", user: "system:kube-controller-manager", server: inside},
		{file: "scheduler", user: "system:kube-scheduler", server: inside},
		{file: "proxy", user: "system:kube-proxy", server: inside},
		{file: "kubelet", user: "system:node:" + nodeName, groups: []string{"system:nodes"},
			names: []string{nodeName}, addresses: node, server: inside},
	}
	for _, id := range identities {
		if err := ca.issue(id); err != nil {
			return fmt.Errorf("%s: %w", id.file, err)
		}
		if id.server != "" {
			if err := writeKubeconfig(id.file, id.server); err != nil {
				return fmt.Errorf("%s: %w", id.file, err)
			}
		}
	}
	// Service account tokens are signed with a key of their own, without a certificate.
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	if err := writePEM("service-account.pub", "PUBLIC KEY", public); err != nil {
		return err
	}
	return writeKey("service-account.key", key)
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := certificate(pkix.Name{CommonName: "bulkhead-testbed"})
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{parsed, key}, writePEM("ca.crt", "CERTIFICATE", der)
}

func (a *authority) issue(id identity) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := certificate(pkix.Name{CommonName: id.user, Organization: id.groups})
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	template.DNSNames, template.IPAddresses = id.names, id.addresses
	if len(id.addresses) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return err
	}
	if err := writePEM(id.file+".crt", "CERTIFICATE", der); err != nil {
		return err
	}
	return writeKey(id.file+".key", key)
}

func certificate(subject pkix.Name) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetInt64(time.Now().UnixNano()),
		Subject:      subject,
		NotBefore:    time.Now().Add(-time.Minute),
		NotAfter:     time.Now().Add(30 * 24 * time.Hour),
	}
}

func writeKey(name string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(name, "PRIVATE KEY", der)
}

func writePEM(name, kind string, der []byte) error {
	return os.WriteFile(pki(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func pki(name string) string { return filepath.Join(pkiDir, name) }

// writeKubeconfig writes NAME.kubeconfig, which names the files of NAME's certificate.
func writeKubeconfig(name, server string) error {
	config := clientcmdapi.NewConfig()
	config.Clusters["testbed"] = &clientcmdapi.Cluster{Server: server, CertificateAuthority: pki("ca.crt")}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificate: pki(name + ".crt"), ClientKey: pki(name + ".key")}
	config.Contexts["testbed"] = &clientcmdapi.Context{Cluster: "testbed", AuthInfo: name}
	config.CurrentContext = "testbed"
	return clientcmd.WriteToFile(*config, pki(name+".kubeconfig"))
}
