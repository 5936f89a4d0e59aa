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
	client := http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
	return c.Wait(ctx, "kube-proxy to be healthy", time.Minute, func(ctx context.Context) error {
		// Healthy is when it has synced at least once (kube-proxy's --healthz-bind-address).
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:10256/healthz", nil)
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
