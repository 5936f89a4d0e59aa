package webhook

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// maxAddresses bounds an object's addresses, as the time of the rules grows with them
// (threat A1). Kubernetes' own controllers write no object of more.
const maxAddresses = 1000

// Addresses is what the feed knows of addresses.
type Addresses interface {
	// Ranges are the cluster's, as sidecars are told; the zero value: unknown.
	Ranges() protocol.Cluster
	// Holder returns the tenant whose live pod has the address; empty: none's.
	Holder(address netip.Addr) (tenant string)
	// Denied tells whether another tenant is reached by that address outside the
	// cluster, a load balancer's for example.
	Denied(tenant string, address netip.Addr) bool
}

// addFacts adds to the question, where it is about a Service or its endpoints, what
// the feed knows: the cluster's ranges, and whose the addresses of the object are.
// Ranges of a tenant are then those of the object's addresses that it holds, since its
// pods have no other ranges.
func (a *Admission) addFacts(in *rego.Input, tenant *tenants.Tenant, resource string, objects ...*subject) error {
	if a.addresses == nil || !slices.Contains([]string{"services", "endpoints", "endpointslices"}, resource) {
		return nil
	}
	var addresses []netip.Addr
	for _, object := range objects {
		if object == nil {
			continue
		}
		texts, err := addressesOf(object.raw)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if address, err := netip.ParseAddr(text); err == nil { // else the rules refuse it
				addresses = append(addresses, address.Unmap())
			}
		}
	}
	ranges := a.addresses.Ranges()
	in.Cluster.PodCIDRs = union(in.Cluster.PodCIDRs, relevant(ranges.Pods, addresses))
	in.Cluster.ServiceCIDRs = union(in.Cluster.ServiceCIDRs, relevant(ranges.Services, addresses))
	in.Cluster.NodeCIDRs = union(in.Cluster.NodeCIDRs, relevant(ranges.Nodes, addresses))
	if tenant == nil {
		return nil
	}
	var own, others []netip.Prefix
	for _, address := range addresses {
		single := netip.PrefixFrom(address, address.BitLen())
		switch {
		case a.addresses.Denied(tenant.Name, address):
			others = append(others, single)
		case resource != serviceKind.resource && tenant.Spec.Addressing.Mode == v1alpha1.AddressingIdentity && a.addresses.Holder(address) == tenant.Name:
			own = append(own, single)
		}
	}
	in.Tenant.CIDRs = union(in.Tenant.CIDRs, own)
	in.Cluster.TenantCIDRs = union(in.Cluster.TenantCIDRs, others)
	return nil
}

// relevant are the ranges that hold one of the addresses: the rules compare each address
// with all that is left (A1), and nodes alone may have 256. One always stays, as none
// would mean that nobody knows of any.
func relevant(ranges []netip.Prefix, addresses []netip.Addr) []netip.Prefix {
	var holding []netip.Prefix
	for _, candidate := range ranges {
		if slices.ContainsFunc(addresses, candidate.Contains) {
			holding = append(holding, candidate)
		}
	}
	if len(holding) == 0 {
		return ranges[:min(1, len(ranges))]
	}
	return holding
}

// addressesOf are those of Endpoints or an EndpointSlice, and those outside the cluster
// by which a Service is reached, as they are written.
func addressesOf(raw json.RawMessage) ([]string, error) {
	type address struct {
		IP string `json:"ip"`
	}
	var object struct {
		Subsets []struct {
			Addresses         []address `json:"addresses"`
			NotReadyAddresses []address `json:"notReadyAddresses"`
		} `json:"subsets"`
		Endpoints []struct {
			Addresses []string `json:"addresses"`
		} `json:"endpoints"`
		Spec struct {
			ExternalIPs    []string `json:"externalIPs"`
			LoadBalancerIP string   `json:"loadBalancerIP"`
		} `json:"spec"`
		Status struct {
			LoadBalancer struct {
				Ingress []address `json:"ingress"`
			} `json:"loadBalancer"`
		} `json:"status"`
	}
	if err := unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("read the addresses: %w", err)
	}
	texts := object.Spec.ExternalIPs
	if object.Spec.LoadBalancerIP != "" {
		texts = append(texts, object.Spec.LoadBalancerIP)
	}
	for _, ingress := range object.Status.LoadBalancer.Ingress {
		texts = append(texts, ingress.IP)
	}
	for _, endpoint := range object.Endpoints {
		texts = append(texts, endpoint.Addresses...)
	}
	for _, subset := range object.Subsets {
		for _, address := range slices.Concat(subset.Addresses, subset.NotReadyAddresses) {
			texts = append(texts, address.IP)
		}
	}
	return texts, nil
}

// union is the sorted set of both. It changes neither.
func union(texts []string, prefixes []netip.Prefix) []string {
	all := slices.Clone(texts)
	for _, prefix := range prefixes {
		all = append(all, prefix.String())
	}
	slices.Sort(all)
	return slices.Compact(all)
}
