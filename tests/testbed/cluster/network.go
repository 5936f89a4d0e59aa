package cluster

import (
	"encoding/json"
	"net"
	"os"
	"slices"
	"strings"
)

// Network is the cluster's address plan. Every list holds IPv4 first, then IPv6 if the machine has it.
type Network struct {
	Node         []string            // the node's addresses
	NodeCIDRs    []string            // the networks that they lie in
	ServiceCIDRs []string            // the ranges of ClusterIPs
	PodCIDRs     []string            // the ranges of namespaces without one of their own
	Ranges       map[string][]string // the others' ranges, by namespace
}

func newNetwork(ranges map[string][]string) Network {
	network := Network{
		Node:         []string{"10.250.0.1", "fd00:10:250::1"},
		NodeCIDRs:    []string{"10.250.0.0/24", "fd00:10:250::/64"},
		ServiceCIDRs: []string{"10.96.0.0/16", "fd00:10:96::/112"},
		PodCIDRs:     []string{"10.244.0.0/16", "fd00:10:244::/64"},
		Ranges:       map[string][]string{},
	}
	for namespace, subnets := range ranges {
		network.Ranges[namespace] = slices.Clone(subnets)
	}
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		network.dropIPv6()
	}
	return network
}

func (n *Network) dropIPv6() {
	isIPv6 := func(address string) bool { return strings.Contains(address, ":") }
	for _, list := range []*[]string{&n.Node, &n.NodeCIDRs, &n.ServiceCIDRs, &n.PodCIDRs} {
		*list = slices.DeleteFunc(*list, isIPv6)
	}
	for namespace, subnets := range n.Ranges {
		n.Ranges[namespace] = slices.DeleteFunc(subnets, isIPv6)
	}
}

// scriptArguments are node.sh's after the first: address with prefix length, service range, for each family.
func (n Network) scriptArguments() []string {
	var args []string
	for i, address := range n.Node {
		_, length, _ := strings.Cut(n.NodeCIDRs[i], "/")
		args = append(args, address+"/"+length, n.ServiceCIDRs[i])
	}
	return args
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

// cniConfig is the network configuration list: a routed link for each pod, as most CNIs without a bridge make it, and
// the shim that gives each namespace its range.
func (n Network) cniConfig(ipam string) ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"cniVersion": "0.4.0",
		"name":       "testbed",
		"plugins": []any{map[string]any{
			"type":   "ptp",
			"ipMasq": false,
			"mtu":    1500,
			"ipam": map[string]any{
				"type":    ipam,
				"dataDir": cniDir + "/addresses",
				"ranges":  n.Ranges,
				"default": n.PodCIDRs,
			},
		}},
	}, "", "  ")
}
