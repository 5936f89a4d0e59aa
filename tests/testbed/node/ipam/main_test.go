package main

import (
	"encoding/json"
	"testing"
)

const network = `{"cniVersion": "0.4.0", "name": "testbed", "type": "ptp", "mtu": 1500, "ipam": {
	"type": "bulkhead-testbed-ipam", "dataDir": "/state",
	"ranges": {"alice": ["172.16.1.0/24", "fd00:1::/64"]}, "default": ["10.244.0.0/16"]}}`

func TestConfigFor(t *testing.T) {
	tests := map[string]struct{ namespace, want string }{
		"a namespace with ranges": {"alice", `{"type":"host-local","dataDir":"/state/alice","ranges":[[{"subnet":"172.16.1.0/24"}],[{"subnet":"fd00:1::/64"}]],"routes":[{"dst":"0.0.0.0/0"},{"dst":"::/0"}]}`},
		"any other namespace":     {"bob", `{"type":"host-local","dataDir":"/state/_default","ranges":[[{"subnet":"10.244.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}`},
		"no namespace":            {"", `{"type":"host-local","dataDir":"/state/_default","ranges":[[{"subnet":"10.244.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, err := configFor([]byte(network), test.namespace)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(config, &got); err != nil {
				t.Fatal(err)
			}
			if string(got["ipam"]) != test.want {
				t.Errorf("got  %s\nwant %s", got["ipam"], test.want)
			}
			if string(got["mtu"]) != "1500" {
				t.Error("the rest of the configuration was not kept")
			}
		})
	}
}

func TestConfigForOneSegment(t *testing.T) {
	const network = `{"name": "testbed-net1", "ipam": {"type": "x", "dataDir": "/state", "segment": ["172.17.0.0/16", "fd00:2::/64"],
		"ranges": {"alice": ["172.17.1.0/24", "fd00:2::1:0:0:0/80"], "mallory": ["10.0.0.0/24"]}}}`
	const want = `{"type":"host-local","dataDir":"/state/alice","ranges":[` +
		`[{"subnet":"172.17.0.0/16","rangeStart":"172.17.1.2","rangeEnd":"172.17.1.254"}],` +
		`[{"subnet":"fd00:2::/64","rangeStart":"fd00:2::1:0:0:2","rangeEnd":"fd00:2::1:ffff:ffff:fffe"}]]}`
	config, err := configFor([]byte(network), "alice")
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]json.RawMessage
	if err := json.Unmarshal(config, &got); err != nil {
		t.Fatal(err)
	}
	if string(got["ipam"]) != want {
		t.Errorf("got  %s\nwant %s", got["ipam"], want)
	}
	if got, err := configFor([]byte(network), "mallory"); err == nil {
		t.Errorf("a range outside of the segment: got %s", got)
	}
}

func TestConfigForRefusesWhatItCannotRead(t *testing.T) {
	for _, input := range []string{"", "{", `{"name": "x"}`, `{"ipam": []}`} {
		if got, err := configFor([]byte(input), "alice"); err == nil {
			t.Errorf("%q: got %s", input, got)
		}
	}
}

func TestNamespaceFrom(t *testing.T) {
	tests := map[string]string{
		"IgnoreUnknown=1;K8S_POD_NAMESPACE=alice;K8S_POD_NAME=web": "alice",
		"K8S_POD_NAME=K8S_POD_NAMESPACE=x":                         "",
		"":                                                         "",
	}
	for args, want := range tests {
		if got := namespaceFrom(args); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}
