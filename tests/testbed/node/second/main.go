// Command bulkhead-testbed-second is a CNI plugin that gives a pod a second interface by another plugin, as Multus does:
// chained behind the plugin that makes eth0, it calls its delegate with another CNI_IFNAME and passes the first's result
// on. A plain chain cannot do that, for all of its plugins are told the same interface.
//
// Its configuration is {"type": …, "interface": "net1", "delegate": {"type": "macvlan", …}}. See the CNI specification,
// section 4, for delegation, and section 3 for what a chained plugin gets and gives.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		// The error format of the CNI specification, section 5; code 999 is plugin-specific.
		_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"cniVersion": "0.4.0", "code": 999, "msg": err.Error()})
		os.Exit(1)
	}
}

func run(stdin io.Reader, stdout io.Writer) error {
	input, err := io.ReadAll(stdin)
	if err != nil {
		return err
	}
	command := os.Getenv("CNI_COMMAND")
	if command == "VERSION" {
		return json.NewEncoder(stdout).Encode(map[string]any{"cniVersion": "0.4.0", "supportedVersions": []string{"0.3.1", "0.4.0"}})
	}
	second, err := parse(input)
	if err != nil {
		return err
	}
	plugin := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), second.plugin))
	plugin.Env = append(withoutInterface(os.Environ()), "CNI_IFNAME="+second.name)
	var said bytes.Buffer
	plugin.Stdin, plugin.Stdout, plugin.Stderr = bytes.NewReader(second.config), &said, os.Stderr
	if err := plugin.Run(); err != nil {
		return fmt.Errorf("%s %s as %s: %w: %s", command, second.plugin, second.name, err, &said)
	}
	if command != "ADD" {
		return nil
	}
	_, err = stdout.Write(second.previous)
	return err
}

// delegation is what the delegate is called with, and what is passed on.
type delegation struct {
	name, plugin     string
	config, previous []byte
}

func parse(input []byte) (delegation, error) {
	var given struct {
		CNIVersion string                     `json:"cniVersion"`
		Name       string                     `json:"name"`
		Interface  string                     `json:"interface"`
		Delegate   map[string]json.RawMessage `json:"delegate"`
		Previous   json.RawMessage            `json:"prevResult"`
	}
	if err := json.Unmarshal(input, &given); err != nil {
		return delegation{}, fmt.Errorf("parse the network configuration: %w", err)
	}
	parsed := delegation{name: given.Interface, previous: given.Previous}
	if err := json.Unmarshal(given.Delegate["type"], &parsed.plugin); err != nil || parsed.plugin == "" || parsed.name == "" {
		return delegation{}, errors.New("interface and delegate.type must be set")
	}
	// The delegate's network has a name of its own: host-local keeps its addresses by name.
	for key, value := range map[string]string{"cniVersion": given.CNIVersion, "name": given.Name + "-" + given.Interface} {
		encoded, err := json.Marshal(value)
		if err != nil {
			return delegation{}, err
		}
		given.Delegate[key] = encoded
	}
	var err error
	parsed.config, err = json.Marshal(given.Delegate)
	return parsed, err
}

func withoutInterface(environment []string) []string {
	var kept []string
	for _, variable := range environment {
		if !strings.HasPrefix(variable, "CNI_IFNAME=") {
			kept = append(kept, variable)
		}
	}
	return kept
}
