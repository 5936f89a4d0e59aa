// Command bulkhead-testbed-ipam is a CNI IPAM plugin that gives each namespace its own address range and leaves the
// rest to host-local. It plays the part that Calico's IPPools or Cilium's CiliumPodIPPools play in a real cluster:
// Bulkhead's cidr addressing needs an IPAM that keeps to the tenants' ranges.
//
// Its configuration is {"type": …, "dataDir": DIR, "ranges": {"NAMESPACE": ["10.0.0.0/24", …]}, "default": […]}.
// The namespace comes from K8S_POD_NAMESPACE in CNI_ARGS, which containerd sets for every call (CNI conventions,
// "CNI_ARGS"). See the CNI specification, section 4, for delegation: the same environment, a changed stdin.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

const delegate = "host-local"

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
	config, err := configFor(input, namespaceFrom(os.Getenv("CNI_ARGS")))
	if err != nil {
		return err
	}
	if netns := os.Getenv("CNI_NETNS"); netns != "" && os.Getenv("CNI_COMMAND") == "ADD" {
		if err := skipAddressDetection(netns); err != nil {
			return fmt.Errorf("switch off IPv6 duplicate address detection in %s: %w", netns, err)
		}
	}
	plugin := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), delegate))
	plugin.Stdin, plugin.Stdout, plugin.Stderr = bytes.NewReader(config), stdout, os.Stderr
	err = plugin.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(1) // host-local has told why on stdout
	}
	return err
}

// namespaceFrom finds the pod's namespace in CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=alice;…".
func namespaceFrom(args string) string {
	for _, arg := range strings.Split(args, ";") {
		if value, ok := strings.CutPrefix(arg, "K8S_POD_NAMESPACE="); ok {
			return value
		}
	}
	return ""
}

// configFor turns the network configuration of the namespaces into host-local's for one of them. Each namespace has
// a data folder of its own, because host-local keeps one "last reserved address" per network and folder.
func configFor(input []byte, namespace string) ([]byte, error) {
	var network map[string]json.RawMessage
	if err := json.Unmarshal(input, &network); err != nil {
		return nil, fmt.Errorf("parse the network configuration: %w", err)
	}
	var ipam struct {
		DataDir string              `json:"dataDir"`
		Ranges  map[string][]string `json:"ranges"`
		Default []string            `json:"default"`
	}
	if err := json.Unmarshal(network["ipam"], &ipam); err != nil {
		return nil, fmt.Errorf("parse ipam: %w", err)
	}
	subnets, folder := ipam.Ranges[namespace], namespace
	if len(subnets) == 0 {
		subnets, folder = ipam.Default, "_default"
	}
	type subnetRange struct {
		Subnet string `json:"subnet"`
	}
	type route struct {
		Destination string `json:"dst"`
	}
	local := struct {
		Type    string          `json:"type"`
		DataDir string          `json:"dataDir"`
		Ranges  [][]subnetRange `json:"ranges"`
		Routes  []route         `json:"routes"`
	}{Type: delegate, DataDir: filepath.Join(ipam.DataDir, folder)}
	for _, subnet := range subnets {
		local.Ranges = append(local.Ranges, []subnetRange{{subnet}})
		if strings.Contains(subnet, ":") {
			local.Routes = append(local.Routes, route{"::/0"})
		} else {
			local.Routes = append(local.Routes, route{"0.0.0.0/0"})
		}
	}
	encoded, err := json.Marshal(local)
	if err != nil {
		return nil, err
	}
	network["ipam"] = encoded
	return json.Marshal(network)
}

// skipAddressDetection saves a second or two a pod: ptp waits until an IPv6 address is no longer tentative, and on a
// point-to-point link between a pod and its node there is nobody to clash with (RFC 4862, section 5.4).
func skipAddressDetection(netns string) error {
	const setting = "/proc/sys/net/ipv6/conf/default/accept_dad"
	namespace, err := os.Open(netns)
	if err != nil {
		return err
	}
	defer namespace.Close()
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with its goroutine instead of serving others from the pod's namespace.
		runtime.LockOSThread()
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		err := os.WriteFile(setting, []byte("0"), 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // a kernel without IPv6
		}
		done <- err
	}()
	return <-done
}
