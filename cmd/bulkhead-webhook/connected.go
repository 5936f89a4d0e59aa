package main

import (
	"context"
	"encoding/json"
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
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

const (
	connectedTimeout = 5 * time.Second
	// maxConnected is the longest answer that is read, in bytes: a million tenants.
	maxConnected = 64 << 20
)

// replicas are this webhook's pods, behind the feed's Service.
type replicas struct {
	kube            kubernetes.Interface
	namespace, name string
	port            string
	caFile          string
	credentials     *rest.Config
}

// connected asks each replica how many sidecars of each tenant are connected to it.
func (o *options) connected(config *rest.Config, kube kubernetes.Interface) func(context.Context) (map[string]int, error) {
	namespace, name, _ := strings.Cut(o.feedService, "/")
	r := &replicas{kube, namespace, name, strconv.Itoa(o.feedPort), o.feedCAFile, rest.AnonymousClientConfig(config)}
	// A replica asks the API server who we are, as it does with whoever reads metrics.
	r.credentials.BearerToken, r.credentials.BearerTokenFile = config.BearerToken, config.BearerTokenFile
	return r.connected
}

func (r *replicas) connected(ctx context.Context) (map[string]int, error) {
	ctx, cancel := context.WithTimeout(ctx, connectedTimeout)
	defer cancel()
	client, err := r.client()
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	addresses, err := r.addresses(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the replicas: %w", err)
	}
	sum := map[string]int{}
	for _, address := range addresses {
		url := "https://" + net.JoinHostPort(address, r.port) + protocol.ConnectedPath
		counts, err := ask(ctx, client, url)
		if err != nil {
			return nil, fmt.Errorf("ask the replica at %s: %w", address, err)
		}
		for tenant, count := range counts {
			sum[tenant] += count
		}
	}
	return sum, nil
}

// client believes the CA as it is now.
func (r *replicas) client() (*http.Client, error) {
	ca, err := os.ReadFile(r.caFile)
	if err != nil {
		return nil, fmt.Errorf("read --feed-ca-file: %w", err)
	}
	config := rest.CopyConfig(r.credentials)
	config.TLSClientConfig = rest.TLSClientConfig{CAData: ca, ServerName: r.name + "." + r.namespace + ".svc"}
	return rest.HTTPClientFor(config)
}

// addresses are those of the pods that serve.
func (r *replicas) addresses(ctx context.Context) ([]string, error) {
	service, err := r.kube.CoreV1().Services(r.namespace).Get(ctx, r.name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	pods, err := r.kube.CoreV1().Pods(r.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String(),
	})
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, pod := range pods.Items {
		if pod.Status.PodIP != "" && isReady(&pod) {
			addresses = append(addresses, pod.Status.PodIP)
		}
	}
	return addresses, nil
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func ask(ctx context.Context, client *http.Client, url string) (_ map[string]int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	body := io.LimitReader(response.Body, maxConnected)
	if response.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(body, 256))
		return nil, fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(said)))
	}
	var told protocol.Connected
	if err := json.NewDecoder(body).Decode(&told); err != nil {
		return nil, err
	}
	return told.Tenants, nil
}
