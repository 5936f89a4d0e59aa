package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/feed/protocol"
)

// Ranges are the configured ones. A kind of them that is left out is detected; nodes'
// addresses are in any case, as what is configured of them is what else they answer at.
type Ranges struct {
	Pods, Services, Nodes []netip.Prefix
	// Tenants are those of tenants with fixed ranges: pods too.
	Tenants []netip.Prefix
}

// detector puts the ranges together from what is configured and what is seen.
type detector struct {
	configured Ranges
	store      *peers.Store

	mutex    sync.Mutex
	nodes    map[string]node
	services map[string][]netip.Prefix // by the ServiceCIDR's name
	kinds    []follower
}

// node is what is kept of a Node.
type node struct {
	name      string
	pods      []netip.Prefix
	addresses []netip.Addr
}

type serviceCIDR struct {
	name   string
	ranges []netip.Prefix
}

func newDetector(kube kubernetes.Interface, store *peers.Store, configured Ranges) *detector {
	d := &detector{configured: configured, store: store, nodes: map[string]node{}, services: map[string][]netip.Prefix{}}
	d.kinds = append(d.kinds, d.followNodes(kube))
	if len(configured.Services) == 0 {
		d.kinds = append(d.kinds, d.followServiceCIDRs(kube))
	}
	return d
}

func (d *detector) followNodes(kube kubernetes.Interface) follower {
	client := kube.CoreV1().Nodes()
	return &kind[*corev1.Node, node]{
		name:  "nodes",
		list:  listed(client.List, func(l *corev1.NodeList) ([]corev1.Node, metav1.ListMeta) { return l.Items, l.ListMeta }),
		watch: client.Watch,
		trim:  trimNode,
		set: func(n node, _ uint64) {
			d.change(func() bool {
				old, known := d.nodes[n.name]
				d.nodes[n.name] = n
				return !known || !slices.Equal(old.pods, n.pods) || !slices.Equal(old.addresses, n.addresses)
			})
		},
		remove: func(_, name string, _ uint64) {
			d.change(func() bool { delete(d.nodes, name); return true })
		},
		replace: func(all []node, _ uint64) {
			d.change(func() bool {
				clear(d.nodes)
				for _, n := range all {
					d.nodes[n.name] = n
				}
				return true
			})
		},
	}
}

func trimNode(object *corev1.Node) node {
	n := node{name: object.Name}
	for _, text := range object.Spec.PodCIDRs {
		n.pods = appendPrefix(n.pods, text)
	}
	for _, address := range object.Status.Addresses {
		if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
			n.addresses = appendAddress(n.addresses, address.Address)
		}
	}
	return n
}

func appendPrefix(to []netip.Prefix, text string) []netip.Prefix {
	prefix, err := netip.ParsePrefix(text)
	if err != nil || prefix.Bits() == 0 {
		return to
	}
	return append(to, prefix.Masked())
}

// followServiceCIDRs: before Kubernetes 1.33 there are none to be read, which is as if
// there were none.
func (d *detector) followServiceCIDRs(kube kubernetes.Interface) follower {
	client := kube.NetworkingV1().ServiceCIDRs()
	list := listed(client.List, func(l *networkingv1.ServiceCIDRList) ([]networkingv1.ServiceCIDR, metav1.ListMeta) {
		return l.Items, l.ListMeta
	})
	return &kind[*networkingv1.ServiceCIDR, serviceCIDR]{
		name: "servicecidrs",
		list: func(ctx context.Context, options metav1.ListOptions) ([]*networkingv1.ServiceCIDR, metav1.ListMeta, error) {
			all, meta, err := list(ctx, options)
			if apierrors.IsNotFound(err) {
				return nil, metav1.ListMeta{}, nil
			}
			return all, meta, err
		},
		watch: client.Watch,
		trim: func(object *networkingv1.ServiceCIDR) serviceCIDR {
			c := serviceCIDR{name: object.Name}
			for _, text := range object.Spec.CIDRs {
				c.ranges = appendPrefix(c.ranges, text)
			}
			return c
		},
		set:    func(c serviceCIDR, _ uint64) { d.change(func() bool { d.services[c.name] = c.ranges; return true }) },
		remove: func(_, name string, _ uint64) { d.change(func() bool { delete(d.services, name); return true }) },
		replace: func(all []serviceCIDR, _ uint64) {
			d.change(func() bool {
				clear(d.services)
				for _, c := range all {
					d.services[c.name] = c.ranges
				}
				return true
			})
		},
	}
}

// change tells the Store when do has changed something, and all has been read.
func (d *detector) change(do func() bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if do() {
		d.tell()
	}
}

// tell is called with the mutex, or before anything runs.
func (d *detector) tell() {
	ranges, err := d.ranges()
	if err == nil {
		err = d.store.SetCluster(ranges)
	}
	if err != nil {
		d.store.SetUnknown(err)
		klog.V(2).InfoS("The cluster's ranges are not known", "err", err)
	}
}

func (d *detector) ranges() (protocol.Cluster, error) {
	pods, services := d.configured.Pods, d.configured.Services
	var seenPods, seenNodes, seenServices []netip.Prefix
	for _, n := range d.nodes {
		seenPods = append(seenPods, n.pods...)
		for _, address := range n.addresses {
			seenNodes = append(seenNodes, netip.PrefixFrom(address, address.BitLen()))
		}
	}
	for _, ranges := range d.services {
		seenServices = append(seenServices, ranges...)
	}
	if len(pods) == 0 {
		pods = seenPods
	}
	if len(services) == 0 {
		services = seenServices
	}
	nodes := slices.Concat(d.configured.Nodes, seenNodes)
	cluster := protocol.Cluster{Pods: aggregate(slices.Concat(pods, d.configured.Tenants)), Services: aggregate(services), Nodes: aggregate(nodes)}
	return cluster, errors.Join(
		few("podCIDRs", "Nodes' podCIDRs", cluster.Pods), few("serviceCIDRs", "ServiceCIDRs", cluster.Services),
		few("nodeCIDRs", "Nodes' addresses", cluster.Nodes))
}

// few says what to configure where the cluster tells too little or too much.
func few(field, seen string, ranges []netip.Prefix) error {
	switch {
	case len(ranges) == 0:
		return fmt.Errorf("the cluster has no %s to be read: set cluster.%s in the configuration", seen, field)
	case len(ranges) > protocol.MaxRanges:
		return fmt.Errorf("the %s are %d ranges, more than %d: set cluster.%s in the configuration", seen, len(ranges), protocol.MaxRanges, field)
	}
	return nil
}

// aggregate makes as few ranges as possible that hold the same addresses.
func aggregate(ranges []netip.Prefix) []netip.Prefix {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	var all []netip.Prefix
	for _, next := range ranges {
		if len(all) > 0 && all[len(all)-1].Contains(next.Addr()) {
			continue
		}
		all = append(all, next)
		for len(all) > 1 {
			last, before := all[len(all)-1], all[len(all)-2]
			wider := netip.PrefixFrom(before.Addr(), before.Bits()-1).Masked()
			if before.Bits() != last.Bits() || wider.Bits() < 1 || wider.Addr() != before.Addr() || !wider.Contains(last.Addr()) {
				break
			}
			all = append(all[:len(all)-2], wider)
		}
	}
	return all
}
