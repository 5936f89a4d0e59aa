package cluster

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/build"
)

// SecondInterface is the name of pods' second interface.
const SecondInterface = "net1"

// OutsideName is a name of the outside host's, which the cluster's DNS resolves by asking it.
const OutsideName = "outside.example"

// networkName is what CNI calls the pods' network.
const networkName = "testbed"

// Network is the cluster's address plan. Every list holds IPv4 first, then IPv6 if the machine has it.
type Network struct {
	Node         []string            // the node's addresses
	Router       []string            // the router's that the node's default routes lead to
	NodeCIDRs    []string            // the networks that both lie in
	ServiceCIDRs []string            // the ranges of ClusterIPs
	PodCIDRs     []string            // the node's pod ranges, in which all pods are, but those of Ranges if it is Routed
	Ranges       map[string][]string // of namespaces that have ranges of their own; without Routed, parts of PodCIDRs
	Routed       bool                // a link of its own leads to each pod, instead of one bridge for all
	// Outside are the addresses of a host outside the cluster, for the internet: it serves HTTP and DNS. Pods reach it
	// masqueraded to the node's address.
	Outside []string
	// SecondCIDRs are the ranges of the one network that all pods have their second interface in, and SecondRanges
	// the namespaces' parts of it. Both are empty if pods have one interface.
	SecondCIDRs  []string
	SecondRanges map[string][]string
}

func newNetwork(options Options) Network {
	network := Network{
		Node:         []string{"10.250.0.1", "fd00:10:250::1"},
		Router:       []string{"10.250.0.254", "fd00:10:250::fe"},
		NodeCIDRs:    []string{"10.250.0.0/24", "fd00:10:250::/64"},
		ServiceCIDRs: []string{"10.96.0.0/16", "fd00:10:96::/112"},
		PodCIDRs:     []string{"10.244.0.0/16", "fd00:10:244::/64"},
		Ranges:       clone(options.Ranges),
		Routed:       options.Routed,
		Outside:      []string{"203.0.113.10", "2001:db8:203::10"}, // for documentation: RFC 5737, RFC 3849
		SecondRanges: clone(options.Second),
	}
	if len(options.Second) > 0 {
		network.SecondCIDRs = []string{"172.17.0.0/16", "fd00:172:17::/64"}
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		network.dropIPv6()
	}
	return network
}

func clone(ranges map[string][]string) map[string][]string {
	cloned := map[string][]string{}
	for namespace, subnets := range ranges {
		cloned[namespace] = slices.Clone(subnets)
	}
	return cloned
}

func (n *Network) dropIPv6() {
	isIPv6 := func(address string) bool { return strings.Contains(address, ":") }
	for _, list := range []*[]string{&n.Node, &n.Router, &n.NodeCIDRs, &n.ServiceCIDRs, &n.PodCIDRs, &n.Outside, &n.SecondCIDRs} {
		*list = slices.DeleteFunc(*list, isIPv6)
	}
	for _, ranges := range []map[string][]string{n.Ranges, n.SecondRanges} {
		for namespace, subnets := range ranges {
			ranges[namespace] = slices.DeleteFunc(subnets, isIPv6)
		}
	}
}

// scriptVariables are the environment of node.sh.
func (n Network) scriptVariables() []string {
	var variables []string
	for i, family := range []string{"4", "6"}[:len(n.Node)] {
		_, length, _ := strings.Cut(n.NodeCIDRs[i], "/")
		variables = append(variables,
			"NODE"+family+"="+n.Node[i]+"/"+length,
			"ROUTER"+family+"="+n.Router[i]+"/"+length,
			"OUTSIDE"+family+"="+n.Outside[i],
			"SERVICES"+family+"="+n.ServiceCIDRs[i])
	}
	if len(n.SecondCIDRs) > 0 {
		variables = append(variables, "SECOND=1")
	}
	return variables
}

// apiServerAddresses are the addresses that the API server's certificate is for: the node's, the first of each
// service range (the Service "kubernetes"), and loopback, where the forwarder listens.
func (n Network) apiServerAddresses() ([]net.IP, error) {
	addresses := []net.IP{net.IPv4(127, 0, 0, 1)}
	for _, node := range n.Node {
		addresses = append(addresses, net.ParseIP(node))
	}
	for _, services := range n.ServiceCIDRs {
		base, _, err := net.ParseCIDR(services)
		if err != nil {
			return nil, err
		}
		base[len(base)-1]++
		addresses = append(addresses, base)
	}
	return addresses, nil
}

// nodeMasks are flags of the controller manager, by which the one node gets all of PodCIDRs. Those of two families are
// others than that of one.
func (n Network) nodeMasks() []string {
	if len(n.PodCIDRs) == 1 {
		return []string{"--node-cidr-mask-size=16"}
	}
	return []string{"--node-cidr-mask-size-ipv4=16", "--node-cidr-mask-size-ipv6=64"}
}

// cniConfig is the network configuration list. The second interface is a shim's.
func (n Network) cniConfig() ([]byte, error) {
	plugins := []any{n.firstInterface()}
	if len(n.SecondCIDRs) > 0 {
		others := []string{"172.17.0.0/24", "fd00:172:17::/80"}[:len(n.SecondCIDRs)]
		plugins = append(plugins, map[string]any{
			"type":      build.Second,
			"interface": SecondInterface,
			"delegate": map[string]any{
				"type":   "macvlan",
				"master": "lan",
				"mode":   "bridge",
				"ipam":   n.ipamConfig(n.SecondRanges, others, n.SecondCIDRs),
			},
		})
	}
	return json.MarshalIndent(map[string]any{"cniVersion": "0.4.0", "name": networkName, "plugins": plugins}, "", "  ")
}

// firstInterface is the plainest network that there is, as of a cluster that was made by hand: one bridge, and
// host-local with one range for all namespaces. If namespaces have ranges, a shim gives them theirs. Routed, each pod has
// a link of its own, as most CNIs without a bridge make it.
func (n Network) firstInterface() map[string]any {
	if n.Routed {
		return map[string]any{"type": "ptp", "ipMasq": false, "mtu": 1500, "ipam": n.ipamConfig(n.Ranges, n.PodCIDRs, nil)}
	}
	bridge := map[string]any{
		"type": "bridge", "bridge": "pods", "isDefaultGateway": true, "hairpinMode": true, "ipMasq": false, "mtu": 1500,
	}
	if len(n.Ranges) > 0 {
		others := []string{"10.244.0.0/20", "fd00:10:244::/80"}[:len(n.PodCIDRs)]
		bridge["ipam"] = n.ipamConfig(n.Ranges, others, n.PodCIDRs)
		return bridge
	}
	var ranges [][]map[string]any
	for _, subnet := range n.PodCIDRs {
		ranges = append(ranges, []map[string]any{{"subnet": subnet}})
	}
	bridge["ipam"] = map[string]any{"type": "host-local", "dataDir": addressDir, "ranges": ranges}
	return bridge
}

// ipamConfig is that of the IPAM shim; see node/ipam.
func (n Network) ipamConfig(ranges map[string][]string, others, segment []string) map[string]any {
	return map[string]any{
		"type":    build.IPAM,
		"dataDir": addressDir,
		"ranges":  ranges,
		"default": others,
		"segment": segment,
	}
}
