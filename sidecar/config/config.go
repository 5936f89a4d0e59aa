// Package config is the contract between the webhook, which writes it, and the
// sidecar, which lives by it: the content of the environment variable
// BULKHEAD_CONFIG of both injected containers, as JSON.
//
// The webhook computes it from the tenant, the cluster's configuration and the
// pod's probes; validation computes it again and compares, so a pod cannot bring
// its own. It imports only the standard library: the sidecar is small.
package config

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Version is the version of this contract.
const Version = "v1alpha1"

// EnvVar is the environment variable that holds the configuration.
const EnvVar = "BULKHEAD_CONFIG"

// The names of the injected containers.
const (
	// InitContainer builds the rules, proves them and exits.
	InitContainer = "bulkhead-init"
	// FirewallContainer watches and repairs them for the pod's life.
	FirewallContainer = "bulkhead-firewall"
)

// TokenVolume is the name of the volume with the token by which FirewallContainer, and
// InitContainer if the addressing is Identity, but no other container, tells the feed
// whose it is.
const TokenVolume = "bulkhead-token"

// Config is what a sidecar needs to know.
type Config struct {
	// Version is Version.
	Version string `json:"version"`
	// Tenant is the tenant's name, for logs.
	Tenant string `json:"tenant"`
	// Addressing is Identity, or CIDR, for which the field is left out.
	Addressing Addressing `json:"addressing,omitempty"`
	// Peers are the addresses that the pod may talk to though they lie in
	// Denied: its own tenant's ranges. With Identity there are neither Peers nor
	// Denied, Nodes or System: the feed tells them, and what it told last.
	Peers []netip.Prefix `json:"peers,omitempty"`
	// Denied are the ranges of all tenants.
	Denied []netip.Prefix `json:"denied,omitempty"`
	// Nodes are the node addresses. Nodes may open connections to Probes only.
	Nodes []netip.Prefix `json:"nodes,omitempty"`
	// System are the cluster's pod and Service ranges: what of them is not in
	// Denied stays reachable even when Egress.External is Deny.
	System []netip.Prefix `json:"system,omitempty"`
	// Egress says what else the pod may reach.
	Egress Egress `json:"egress"`
	// Probes are the ports that the kubelet may connect to, sorted, each once.
	Probes []Port `json:"probes,omitempty"`
	// Feed is the webhook's side, to which the sidecar reports; nil: it does not.
	// With Identity there must be one: it tells the peers.
	Feed *Feed `json:"feed,omitempty"`
	// WhenFeedGone says what becomes of peers when the feed has been gone for
	// longer than a lease; for Identity only.
	WhenFeedGone WhenFeedGone `json:"whenFeedGone,omitempty"`
}

// Addressing is where the peers come from.
type Addressing string

// The ways of addressing.
const (
	// CIDR: fixed ranges, which the configuration holds.
	CIDR Addressing = ""
	// Identity: live, from the pods that exist, by the feed.
	Identity Addressing = "identity"
)

// WhenFeedGone is Keep or Close.
type WhenFeedGone string

// What becomes of peers without the feed.
const (
	// Keep lets live what is established, and Services; no new connection between
	// pods.
	Keep WhenFeedGone = "keep"
	// Close ends all traffic with peers.
	Close WhenFeedGone = "close"
)

// Feed says where the feed's server is and how to know it.
type Feed struct {
	// Address is that of the feed's Service: a sidecar asks no DNS.
	Address netip.AddrPort `json:"address"`
	// ServerName is the name that the server's certificate must hold.
	ServerName string `json:"serverName"`
	// CA are the certificates, in PEM, one of which must have signed it.
	CA string `json:"ca"`
}

// Egress says what a pod may reach beside its peers; see the Tenant's egress.
type Egress struct {
	Metadata Action `json:"metadata"`
	Nodes    Action `json:"nodes"`
	External Action `json:"external"`
}

// Action is Allow or Deny.
type Action string

// The actions.
const (
	Allow Action = "allow"
	Deny  Action = "deny"
)

// Port is a TCP port of the pod. Kubelet probes are TCP (HTTP, gRPC and
// tcpSocket) or run inside the container.
type Port uint16

// Parse reads a configuration strictly and validates it. Errors name the field.
func Parse(data []byte) (*Config, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	c := &Config{}
	if err := decoder.Decode(c); err != nil {
		return nil, fmt.Errorf("parse %s: %w", EnvVar, err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, fmt.Errorf("parse %s: data after the configuration", EnvVar)
	}
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", EnvVar, err)
	}
	return c, nil
}

// Encode writes the configuration as Parse reads it. Equal configurations give
// equal text: prefixes and ports are sorted, duplicates dropped.
func (c *Config) Encode() (string, error) {
	canonical := *c
	canonical.Peers = sortedPrefixes(c.Peers)
	canonical.Denied = sortedPrefixes(c.Denied)
	canonical.Nodes = sortedPrefixes(c.Nodes)
	canonical.System = sortedPrefixes(c.System)
	canonical.Probes = slices.Compact(slices.Sorted(slices.Values(c.Probes)))
	if err := canonical.Validate(); err != nil {
		return "", err
	}
	data, err := json.Marshal(&canonical)
	if err != nil {
		return "", fmt.Errorf("encode sidecar configuration: %w", err)
	}
	return string(data), nil
}

// Validate says what is wrong with the configuration, all at once.
func (c *Config) Validate() error {
	var problems []string
	report := func(field, format string, args ...any) {
		problems = append(problems, field+": "+fmt.Sprintf(format, args...))
	}
	if c.Version != Version {
		report("version", "%q is not %q", c.Version, Version)
	}
	if c.Tenant == "" {
		report("tenant", "missing")
	}
	c.validateAddressing(report)
	for _, action := range []struct {
		field string
		value Action
	}{
		{"egress.metadata", c.Egress.Metadata},
		{"egress.nodes", c.Egress.Nodes},
		{"egress.external", c.Egress.External},
	} {
		if action.value != Allow && action.value != Deny {
			report(action.field, "%q is neither %q nor %q", action.value, Allow, Deny)
		}
	}
	for i, port := range c.Probes {
		if port == 0 {
			report(fmt.Sprintf("probes[%d]", i), "0 is not a port")
		}
	}
	if feed := c.Feed; feed != nil {
		if !feed.Address.IsValid() || feed.Address.Port() == 0 || feed.Address.Addr().Is4In6() || feed.Address.Addr().Zone() != "" {
			report("feed.address", "%q is not an IP address and port", feed.Address)
		}
		if feed.ServerName == "" {
			report("feed.serverName", "missing")
		}
		if block, _ := pem.Decode([]byte(feed.CA)); block == nil || block.Type != "CERTIFICATE" {
			report("feed.ca", "no certificate in PEM")
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s", strings.Join(problems, "; "))
	}
	return nil
}

// validateAddressing holds each way of addressing to its own fields.
func (c *Config) validateAddressing(report func(field, format string, args ...any)) {
	switch c.Addressing {
	case CIDR:
		if c.WhenFeedGone != "" {
			report("whenFeedGone", "for addressing %q only", Identity)
		}
	case Identity:
		if c.Feed == nil {
			report("feed", "missing: it tells the peers")
		}
		if c.WhenFeedGone != Keep && c.WhenFeedGone != Close {
			report("whenFeedGone", "%q is neither %q nor %q", c.WhenFeedGone, Keep, Close)
		}
	default:
		report("addressing", "%q is unknown", c.Addressing)
	}
	for _, list := range []struct {
		field    string
		prefixes []netip.Prefix
		required bool
	}{
		{"peers", c.Peers, true},
		{"denied", c.Denied, true},
		{"nodes", c.Nodes, true},
		{"system", c.System, false},
	} {
		if c.Addressing == Identity {
			if len(list.prefixes) > 0 {
				report(list.field, "is the feed's to tell")
			}
			continue
		}
		if list.required && len(list.prefixes) == 0 {
			report(list.field, "empty")
		}
		for i, prefix := range list.prefixes {
			if !prefix.IsValid() || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
				report(fmt.Sprintf("%s[%d]", list.field, i), "%q is not a CIDR in canonical form", prefix)
			}
			if list.field == "peers" && prefix.IsValid() && prefix.Bits() == 0 {
				report(fmt.Sprintf("%s[%d]", list.field, i), "%q holds every address, nothing would be denied", prefix)
			} else if list.field == "peers" && slices.ContainsFunc(special(), prefix.Overlaps) {
				report(fmt.Sprintf("%s[%d]", list.field, i), "%q holds loopback, link-local or multicast addresses, which are nobody's", prefix)
			}
		}
	}
}

// special are addresses that mean something else for each host, or more than one
// host (RFC 6890, RFC 5771).
func special() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
		netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("255.255.255.255/32"),
		netip.MustParsePrefix("::/127"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("ff00::/8"),
	}
}

func sortedPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	return slices.Compact(slices.SortedFunc(slices.Values(prefixes), netip.Prefix.Compare))
}
