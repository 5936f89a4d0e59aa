package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/feed/cluster"
	"github.com/bulkhead-dev/bulkhead/feed/peers"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

const (
	// tenantsEach is how often it is looked whether Tenants have changed.
	tenantsEach = 50 * time.Millisecond
	// tickEach is how often the time of addresses that change hands is looked at.
	tickEach = 20 * time.Millisecond
)

// identity is who belongs to whom, for tenants with addressing identity. Every replica
// follows it, as every one serves streams.
type identity struct {
	*peers.Store
	configured cluster.Ranges
	lease      time.Duration
	// members are what the leader counts.
	members *tenants.Members
}

func (o *options) newIdentity() (*identity, error) {
	i := &identity{
		Store:   peers.NewStore(peers.Options{Shared: o.config.Shared, Lease: o.config.Identity.Lease.Duration}),
		lease:   o.config.Identity.Lease.Duration,
		members: tenants.NewMembers(),
	}
	for _, list := range []struct {
		texts []string
		to    *[]netip.Prefix
	}{
		{o.config.Cluster.PodCIDRs, &i.configured.Pods}, {o.config.Cluster.ServiceCIDRs, &i.configured.Services},
		{o.config.Cluster.NodeCIDRs, &i.configured.Nodes}, {o.config.Cluster.TenantCIDRs, &i.configured.Tenants},
	} {
		for _, text := range list.texts {
			prefix, err := netip.ParsePrefix(text)
			if err != nil {
				return nil, fmt.Errorf("read the cluster's ranges: %w", err)
			}
			*list.to = append(*list.to, prefix)
		}
	}
	return i, nil
}

// served is tenants.Identity.
func (i *identity) served() *tenants.Problem {
	if err := i.RangesKnown(); err != nil {
		return tenants.UnknownRanges(err)
	}
	return nil
}

// follow keeps all of it up to date until the context ends. The check says what has not
// been read yet.
func (i *identity) follow(ctx context.Context, source *source) (ready func() error) {
	follower := cluster.New(source.kube, i.Store, i.configured, i.members)
	go follower.Run(ctx)
	go i.followTenants(ctx, source, follower)
	return func() error {
		if err := source.ready(); err != nil {
			return err
		}
		return follower.Ready()
	}
}

// followTenants also lets sidecars in, once all that there is has been read.
func (i *identity) followTenants(ctx context.Context, source *source, follower *cluster.Cluster) {
	var last *tenants.Index
	begun := false
	look, tick := time.NewTicker(tenantsEach), time.NewTicker(tickEach)
	defer look.Stop()
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			i.Tick()
			continue
		case <-look.C:
		}
		if source.ready() != nil {
			continue
		}
		if index := source.Index(); index != last {
			i.SetTenants(plain(index))
			last = index
		}
		if !begun && follower.Ready() == nil {
			i.Begin()
			begun = true
			klog.InfoS("Sidecars may hear of their peers")
		}
	}
}

func plain(index *tenants.Index) []peers.Tenant {
	var all []peers.Tenant
	for _, t := range index.Tenants() {
		all = append(all, peers.Tenant{
			Name: t.Name, Namespaces: t.Spec.Namespaces, Shared: t.Spec.Shared, Public: t.Spec.Public,
			Identity: t.Spec.Addressing.Mode == v1alpha1.AddressingIdentity,
		})
	}
	return all
}
