package check

import (
	"net/netip"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// standInFeed stands for the cluster's: tenants with addressing identity need one.
func standInFeed() (*sidecarconfig.Feed, error) {
	return &sidecarconfig.Feed{
		Address:    netip.AddrPortFrom(netip.MustParsePrefix(standInServices).Addr(), 443),
		ServerName: "feed.bulkhead.invalid",
		CA:         "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
	}, nil
}

// standInAddresses stands for what a cluster's feed knows: ranges that hold no address of anybody's, and no pod.
type standInAddresses struct{}

func (standInAddresses) Ranges() protocol.Cluster {
	single := func(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }
	return protocol.Cluster{Pods: single(standInPods), Services: single(standInServices), Nodes: single(standInNodes)}
}

func (standInAddresses) Holder(netip.Addr) string       { return "" }
func (standInAddresses) Denied(string, netip.Addr) bool { return false }
