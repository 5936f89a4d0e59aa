package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func valid() *Config {
	return &Config{
		Version: Version,
		Tenant:  "alice",
		Peers:   []netip.Prefix{netip.MustParsePrefix("fd00:1::/64"), netip.MustParsePrefix("172.16.1.0/24"), netip.MustParsePrefix("172.16.1.0/24")},
		Denied:  []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16")},
		Nodes:   []netip.Prefix{netip.MustParsePrefix("10.250.0.0/24")},
		Egress:  Egress{Metadata: Deny, Nodes: Deny, External: Allow},
		Probes:  []Port{8080, 80, 8080},
	}
}

func TestEncodeIsCanonicalAndParsesBack(t *testing.T) {
	text, err := valid().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":"v1alpha1","tenant":"alice","peers":["172.16.1.0/24","fd00:1::/64"],"denied":["172.16.0.0/16"],` +
		`"nodes":["10.250.0.0/24"],"egress":{"metadata":"deny","nodes":"deny","external":"allow"},"probes":[80,8080]}`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
	parsed, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	again, err := parsed.Encode()
	if err != nil || again != text {
		t.Errorf("encoded again: %s, %v", again, err)
	}
	expected := valid()
	expected.Peers, expected.Probes = sortedPrefixes(expected.Peers), []Port{80, 8080}
	if diff := cmp.Diff(expected, parsed, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("parsed (-want +got):\n%s", diff)
	}
}

// Nobody's certificate.
const certificate = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"

func TestFeed(t *testing.T) {
	c := valid()
	c.Feed = &Feed{Address: netip.MustParseAddrPort("[fd00:2::9]:443"), ServerName: "feed.system.svc", CA: certificate}
	text, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `,"feed":{"address":"[fd00:2::9]:443","serverName":"feed.system.svc","ca":"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"}}`
	if !strings.HasSuffix(text, want) {
		t.Errorf("encoded: %s", text)
	}
	parsed, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if *parsed.Feed != *c.Feed {
		t.Errorf("parsed %+v", parsed.Feed)
	}
}

func identity() *Config {
	return &Config{
		Version:      Version,
		Tenant:       "alice",
		Addressing:   Identity,
		Egress:       Egress{Metadata: Deny, Nodes: Deny, External: Allow},
		Feed:         &Feed{Address: netip.MustParseAddrPort("10.96.0.9:443"), ServerName: "feed.system.svc", CA: certificate},
		WhenFeedGone: Keep,
	}
}

// TestIdentity holds that such a configuration has no address but the feed's.
func TestIdentity(t *testing.T) {
	text, err := identity().Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"version":"v1alpha1","tenant":"alice","addressing":"identity","egress":{"metadata":"deny","nodes":"deny","external":"allow"},` +
		`"feed":{"address":"10.96.0.9:443","serverName":"feed.system.svc","ca":"-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"},"whenFeedGone":"keep"}`
	if diff := cmp.Diff(want, text); diff != "" {
		t.Errorf("encoded (-want +got):\n%s", diff)
	}
	if _, err := Parse([]byte(text)); err != nil {
		t.Error(err)
	}
	cases := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no feed":             {func(c *Config) { c.Feed = nil }, "feed: missing"},
		"nothing for the end": {func(c *Config) { c.WhenFeedGone = "" }, "whenFeedGone: "},
		"open without a feed": {func(c *Config) { c.WhenFeedGone = "open" }, "whenFeedGone: "},
		"peers":               {func(c *Config) { c.Peers = valid().Peers }, "peers: is the feed's"},
		"denied":              {func(c *Config) { c.Denied = valid().Denied }, "denied: is the feed's"},
		"nodes":               {func(c *Config) { c.Nodes = valid().Nodes }, "nodes: is the feed's"},
		"system":              {func(c *Config) { c.System = valid().Nodes }, "system: is the feed's"},
		"unknown addressing":  {func(c *Config) { c.Addressing = "cidr" }, `addressing: "cidr" is unknown`},
		"CIDR and an end":     {func(c *Config) { *c = *valid(); c.WhenFeedGone = Keep }, "whenFeedGone: for addressing"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			c := identity()
			test.change(c)
			if _, err := c.Encode(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	complete := valid()
	complete.Feed = &Feed{Address: netip.MustParseAddrPort("10.96.0.9:443"), ServerName: "feed.system.svc", CA: certificate}
	good, err := complete.Encode()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ old, with, want string }{
		"empty":               {good, ``, "EOF"},
		"unknown field":       {`"tenant"`, `"enforce":false,"tenant"`, "enforce"},
		"trailing data":       {`-\n"}}`, `-\n"}}{}`, "data after the configuration"},
		"other version":       {`v1alpha1`, `v2`, `version: "v2" is not "v1alpha1"`},
		"no tenant":           {`"alice"`, `""`, "tenant: missing"},
		"no peers":            {`["172.16.1.0/24","fd00:1::/64"]`, `[]`, "peers: empty"},
		"nothing denied":      {`["172.16.0.0/16"]`, `[]`, "denied: empty"},
		"no nodes":            {`["10.250.0.0/24"]`, `[]`, "nodes: empty"},
		"host bits":           {`172.16.0.0/16`, `172.16.0.1/16`, `denied[0]: "172.16.0.1/16"`},
		"IPv4 in IPv6":        {`172.16.0.0/16`, `::ffff:172.16.0.0/112`, "denied[0]"},
		"everybody is a peer": {`fd00:1::/64`, `::/0`, "peers[1]: \"::/0\" holds every address"},
		"egress left out":     {`"metadata":"deny",`, ``, `egress.metadata: "" is neither`},
		"unknown action":      {`"external":"allow"`, `"external":"maybe"`, `egress.external: "maybe" is neither`},
		"port 0":              {`[80,8080]`, `[0,8080]`, "probes[0]: 0 is not a port"},
		"port too large":      {`[80,8080]`, `[80,70000]`, "70000"},
		"feed by name":        {`10.96.0.9:443`, `feed:443`, "parse BULKHEAD_CONFIG"},
		"feed without port":   {`10.96.0.9:443`, `10.96.0.9:0`, `feed.address: "10.96.0.9:0"`},
		"feed on a link":      {`10.96.0.9:443`, `[fe80::1%eth0]:443`, "feed.address: "},
		"feed nowhere":        {`"address":"10.96.0.9:443",`, ``, "feed.address: "},
		"feed without name":   {`feed.system.svc`, ``, "feed.serverName: missing"},
		"feed's key":          {`BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE`, `BEGIN KEY-----\nAA==\n-----END KEY`, "feed.ca: no certificate"},
		"feed without CA":     {`-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n`, ``, "feed.ca: no certificate"},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, test.old, test.with, 1)
			if text == good {
				t.Fatal("the case changes nothing")
			}
			_, err := Parse([]byte(text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	err := (&Config{}).Validate()
	for _, field := range []string{"version", "tenant", "peers", "denied", "nodes", "egress.metadata", "egress.nodes", "egress.external"} {
		if err == nil || !strings.Contains(err.Error(), field+": ") {
			t.Errorf("%s is not reported in %v", field, err)
		}
	}
}

// FuzzParse: whatever is parsed is valid and encodes to what parses again.
func FuzzParse(f *testing.F) {
	good, err := valid().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(good))
	f.Add([]byte(`{"version":"v1alpha1"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		text, err := c.Encode()
		if err != nil {
			t.Fatalf("parsed but not encoded: %v", err)
		}
		if _, err := Parse([]byte(text)); err != nil {
			t.Fatalf("encoded but not parsed: %v", err)
		}
	})
}
