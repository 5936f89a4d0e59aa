// Command bulkhead-testbed-ipam is a CNI IPAM plugin that gives each namespace its own address range and leaves the
// rest to host-local. It plays the part that Calico's IPPools or Cilium's CiliumPodIPPools play in a real cluster:
// Bulkhead's cidr addressing needs an IPAM that keeps to the tenants' ranges.
//
// Its configuration is {"type": …, "dataDir": DIR, "ranges": {"NAMESPACE": ["10.0.0.0/24", …]}, "default": […]}. With
// "segment": ["10.0.0.0/16", …] all namespaces are on one link of that prefix, and the ranges are parts of it: addresses
// have the segment's prefix length, and no route leads out of it.
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
	"net/netip"
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

// settings are this plugin's.
type settings struct {
	DataDir string              `json:"dataDir"`
	Ranges  map[string][]string `json:"ranges"`
	Default []string            `json:"default"`
	Segment []string            `json:"segment"`
}

// hostLocal are host-local's.
type hostLocal struct {
	Type    string           `json:"type"`
	DataDir string           `json:"dataDir"`
	Ranges  [][]addressRange `json:"ranges"`
	Routes  []route          `json:"routes,omitempty"`
}

type addressRange struct {
	Subnet string `json:"subnet"`
	Start  string `json:"rangeStart,omitempty"`
	End    string `json:"rangeEnd,omitempty"`
}

type route struct {
	Destination string `json:"dst"`
}

// configFor turns the network configuration of the namespaces into host-local's for one of them. Each namespace has
// a data folder of its own, because host-local keeps one "last reserved address" per network and folder.
func configFor(input []byte, namespace string) ([]byte, error) {
	var network map[string]json.RawMessage
	if err := json.Unmarshal(input, &network); err != nil {
		return nil, fmt.Errorf("parse the network configuration: %w", err)
	}
	var ipam settings
	if err := json.Unmarshal(network["ipam"], &ipam); err != nil {
		return nil, fmt.Errorf("parse ipam: %w", err)
	}
	subnets, folder := ipam.Ranges[namespace], namespace
	if len(subnets) == 0 {
		subnets, folder = ipam.Default, "_default"
	}
	local := hostLocal{Type: delegate, DataDir: filepath.Join(ipam.DataDir, folder)}
	for _, subnet := range subnets {
		prefix, err := netip.ParsePrefix(subnet)
		if err != nil {
			return nil, err
		}
		if len(ipam.Segment) > 0 {
			part, err := partOf(ipam.Segment, prefix)
			if err != nil {
				return nil, err
			}
			local.Ranges = append(local.Ranges, []addressRange{part})
			continue
		}
		local.Ranges = append(local.Ranges, []addressRange{{Subnet: subnet}})
		if prefix.Addr().Is4() {
			local.Routes = append(local.Routes, route{"0.0.0.0/0"})
		} else {
			local.Routes = append(local.Routes, route{"::/0"})
		}
	}
	encoded, err := json.Marshal(local)
	if err != nil {
		return nil, err
	}
	network["ipam"] = encoded
	return json.Marshal(network)
}

// partOf is a namespace's part of the segment that contains it. The first two addresses of a part stay free: the
// network's own and what host-local takes for a gateway.
func partOf(segment []string, part netip.Prefix) (addressRange, error) {
	for _, text := range segment {
		whole, err := netip.ParsePrefix(text)
		if err != nil {
			return addressRange{}, err
		}
		if whole.Contains(part.Addr()) && whole.Bits() <= part.Bits() {
			return addressRange{
				Subnet: text,
				Start:  part.Masked().Addr().Next().Next().String(),
				End:    last(part).Prev().String(),
			}, nil
		}
	}
	return addressRange{}, fmt.Errorf("%s is no part of the segment %v", part, segment)
}

// last is the last address of a prefix.
func last(prefix netip.Prefix) netip.Addr {
	bytes := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	address, _ := netip.AddrFromSlice(bytes) // its length is right: it was an address
	return address
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
