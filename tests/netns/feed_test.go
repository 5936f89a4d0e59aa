//go:build linux

package netns

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"testing"
	"time"

	feedprotocol "github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/tests/fakefeed"
)

// feed is a feed on the lab's node.
type feed struct {
	*fakefeed.Server
	at netip.AddrPort
	l  *lab
}

// feed makes one, that listens.
func (l *lab) feed(t testing.TB) *feed {
	t.Helper()
	server, err := fakefeed.New()
	if err != nil {
		t.Fatal(err)
	}
	f := &feed{Server: server, at: netip.AddrPortFrom(l.nodeIPv4, 9443), l: l}
	t.Cleanup(f.Close)
	f.listen(t)
	return f
}

func (f *feed) listen(t testing.TB) {
	t.Helper()
	f.l.node.must(t, func() error {
		return unused(func() error {
			listener, err := net.Listen("tcp", f.at.String())
			if err == nil {
				f.Serve(listener)
			}
			return err
		})
	})
}

// identity is the configuration of a tenant's pods.
func (f *feed) identity(tenant string) *config.Config {
	c := f.configure(tenant)
	c.Feed.CA = f.CA()
	return c
}

func (f *feed) configure(tenant string) *config.Config {
	return &config.Config{
		Version:      config.Version,
		Tenant:       tenant,
		Addressing:   config.Identity,
		Egress:       config.Egress{Metadata: config.Deny, Nodes: config.Deny, External: config.Allow},
		Probes:       []config.Port{probePort},
		Feed:         &config.Feed{Address: f.at, ServerName: fakefeed.Name},
		WhenFeedGone: config.Keep,
	}
}

// long is a lease that no test outlives, short one that ends soon without heartbeats.
const (
	long  = time.Hour
	short = time.Second
)

// snapshot tells of the lab, and of these peers.
func snapshot(lease time.Duration, peers ...netip.Addr) feedprotocol.Snapshot {
	return feedprotocol.Snapshot{
		LeaseMilliseconds: lease.Milliseconds(),
		Cluster: feedprotocol.Cluster{
			Pods:     prefixes("172.16.0.0/16", "10.244.0.0/16", "fd10:1::/64", "fd10:2::/64", "fd12::/64"),
			Services: prefixes("10.96.0.0/12", "fd13::/112"),
			Nodes:    prefixes("10.250.0.1/32", "fd11::1/128"),
		},
		Peers: peers,
	}
}

func prefixes(texts ...string) []netip.Prefix {
	var all []netip.Prefix
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// both are a pod's addresses.
func (p *pod) both() []netip.Addr { return []netip.Addr{p.ipv4, p.ipv6} }

// bearing gives a command a token, in a file where the sidecar looks for it, that only
// it can see.
func bearing(cmd *exec.Cmd, token string) *exec.Cmd {
	const script = `mount -t tmpfs none /run && mkdir /run/bulkhead && echo "$1" >` + feedprotocol.TokenFile + ` && shift && exec "$@"`
	with := exec.Command("unshare", append([]string{"--mount", "--propagation", "private", "sh", "-ec", script, "sh", token}, cmd.Args...)...)
	with.Env = cmd.Env
	return with
}

// acked waits until the sidecar says that a version is applied.
func acked(t testing.TB, view *fakefeed.View, version uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := view.Acked(ctx, version); err != nil {
		t.Fatal(err)
	}
}
