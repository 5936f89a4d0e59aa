// Package selftest asks an installed Bulkhead whether it works: is the webhook
// ready, under the certificate that cert-manager issued, and does the API server
// ask it about pods? It is what `helm test` runs, from the webhook's own image,
// as the image has no shell.
//
// It uses the cluster as any client does and shares nothing with the webhook
// that it looks at.
package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// ruleID is the rule that must refuse the pod: nobody may use the sidecar's
// container names, in any namespace that is not exempt.
const ruleID = "fw-reserved-name"

// options say what to look at.
type options struct {
	host       string // of the webhook's Service
	port       int
	serverName string // in the webhook's certificate
	caFile     string
	namespace  string
	timeout    time.Duration
}

// run checks readiness, then the refusal.
func (o options) run(ctx context.Context, client kubernetes.Interface, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if err := o.waitReady(ctx); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready: %s answers as %s under the CA in %s\n", o.address(), o.serverName, o.caFile)
	message, err := refusal(ctx, client, o.namespace)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "refused, as it must be: %s\n", message)
	return nil
}

func (o options) address() string { return net.JoinHostPort(o.host, strconv.Itoa(o.port)) }

// waitReady asks /readyz until it says ok. The CA file is read anew each time:
// cert-manager may have renewed it.
func (o options) waitReady(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, time.Second, true, func(ctx context.Context) (bool, error) {
		last = o.askReady(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("webhook is not ready within %s: %w", o.timeout, errors.Join(last, err))
	}
	return nil
}

func (o options) askReady(ctx context.Context) error {
	pem, err := os.ReadFile(o.caFile)
	if err != nil {
		return fmt.Errorf("read the CA: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("read the CA: %s holds no certificate", o.caFile)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: o.serverName, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+o.address()+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	response, err := (&http.Client{Transport: transport, Timeout: 5 * time.Second}).Do(request)
	if err != nil {
		return fmt.Errorf("ask for readiness: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return fmt.Errorf("read the answer of readyz: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz says %s: %s", response.Status, body)
	}
	return nil
}

// forbidden is a pod that no namespace under Bulkhead admits.
func forbidden() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bulkhead-selftest-"},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: config.FirewallContainer, Image: "registry.invalid/none"}},
		},
	}
}

// refusal dry-runs the creation of a forbidden pod and returns the refusal. That
// the API server could not ask the webhook is no refusal of ours, nor is any
// other plugin's.
func refusal(ctx context.Context, client kubernetes.Interface, namespace string) (string, error) {
	_, err := client.CoreV1().Pods(namespace).Create(ctx, forbidden(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		return "", fmt.Errorf("a pod with a container named %s was admitted in namespace %s: the API server does not ask the webhook", config.FirewallContainer, namespace)
	}
	if !strings.Contains(err.Error(), "denied the request") || !strings.Contains(err.Error(), ruleID) {
		return "", fmt.Errorf("a dry run in namespace %s was refused, but not by rule %s: %w", namespace, ruleID, err)
	}
	return err.Error(), nil
}
