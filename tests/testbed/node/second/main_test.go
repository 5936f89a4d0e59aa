package main

import (
	"encoding/json"
	"testing"
)

func TestParse(t *testing.T) {
	const input = `{"cniVersion": "0.4.0", "name": "testbed", "interface": "net1", "prevResult": {"ips": []},
		"delegate": {"type": "macvlan", "master": "lan", "ipam": {"type": "x"}}}`
	got, err := parse([]byte(input))
	if err != nil {
		t.Fatal(err)
	}
	if got.name != "net1" || got.plugin != "macvlan" || string(got.previous) != `{"ips": []}` {
		t.Errorf("got %q, %q, previous result %s", got.name, got.plugin, got.previous)
	}
	var config struct{ CNIVersion, Name, Type, Master string }
	if err := json.Unmarshal(got.config, &config); err != nil {
		t.Fatal(err)
	}
	if config.CNIVersion != "0.4.0" || config.Name != "testbed-net1" || config.Type != "macvlan" || config.Master != "lan" {
		t.Errorf("the delegate is configured as %s", got.config)
	}
	for name, input := range map[string]string{
		"no JSON":      `{`,
		"no interface": `{"delegate": {"type": "macvlan"}}`,
		"no delegate":  `{"interface": "net1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse([]byte(input)); err == nil {
				t.Error("no error")
			}
		})
	}
}
