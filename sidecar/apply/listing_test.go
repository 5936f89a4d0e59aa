//go:build linux

package apply

import (
	"strings"
	"testing"
)

func TestParseListingRefuses(t *testing.T) {
	policies := []string{"-P INPUT ACCEPT", "-P FORWARD ACCEPT", "-P OUTPUT ACCEPT"}
	cases := map[string]struct {
		lines []string
		want  string
	}{
		"nothing":      {nil, "no chain INPUT"},
		"cut short":    {policies[:2], "no chain OUTPUT"},
		"unknown line": {append(policies, "Killed"), `unknown line "Killed"`},
		"rule of none": {append(policies, "-A INPUT"), `unknown line "-A INPUT"`},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := parseListing(test.lines)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
	found, err := parseListing(append([]string{"# Warning: iptables-legacy tables present"}, policies...))
	if err != nil || found.policies["INPUT"] != "ACCEPT" {
		t.Errorf("a warning in front: %v, %v", found, err)
	}
}

// TestProtocolNames holds that it does not matter whether the image has an
// /etc/protocols, on which depends what iptables prints.
func TestProtocolNames(t *testing.T) {
	for name, number := range map[string]string{
		"icmp": "1", "ipencap": "4", "tcp": "6", "udp": "17", "ipv6": "41", "gre": "47",
		"ipv6-icmp": "58", "icmpv6": "58", "132": "132",
	} {
		if got, want := canonical(strings.Fields("-p "+name+" -j DROP")), "-p "+number+" -j DROP"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
