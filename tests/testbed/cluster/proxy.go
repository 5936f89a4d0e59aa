package cluster

import (
	"context"
	"errors"
	"net/http"
	"syscall"
	"time"
)

// ProxyMode is how kube-proxy makes Services of addresses.
type ProxyMode string

// The modes that this kernel and distribution have; upstream has given up on the others.
const (
	ProxyIPTables ProxyMode = "iptables"
	ProxyNFTables ProxyMode = "nftables"
)

func (o Options) proxyMode() ProxyMode {
	if o.ProxyMode == "" {
		return ProxyIPTables
	}
	return o.ProxyMode
}

// SetProxyMode restarts kube-proxy in a mode, and returns when it has written all Services. It removes what it wrote
// in the other mode by itself.
func (c *Cluster) SetProxyMode(ctx context.Context, mode ProxyMode) error {
	if err := c.StopComponent(ctx, KubeProxy, syscall.SIGTERM); err != nil {
		return err
	}
	if err := c.StartComponent(KubeProxy, "--proxy-mode="+string(mode)); err != nil {
		return err
	}
	// Healthy is when it has synced at least once (kube-proxy's --healthz-bind-address).
	return c.waitHealthy(ctx, KubeProxy, "http://127.0.0.1:10256/healthz")
}

// WaitKubelet waits until the kubelet is healthy.
func (c *Cluster) WaitKubelet(ctx context.Context) error {
	return c.waitHealthy(ctx, Kubelet, "http://127.0.0.1:10248/healthz")
}

// waitHealthy waits until a component answers well at an address of the node.
func (c *Cluster) waitHealthy(ctx context.Context, name, url string) error {
	client := &http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
	return c.waitOK(ctx, name+" to be healthy", client, url)
}

func (c *Cluster) waitOK(ctx context.Context, what string, client *http.Client, url string) error {
	return c.Wait(ctx, what, startLimit, func(ctx context.Context) error {
		// A try that hangs must not use up the time of all.
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}
