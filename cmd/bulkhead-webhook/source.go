package main

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/namespaces"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// source is where Tenants and namespaces come from: a cluster or manifests.
type source struct {
	webhook.Tenants
	namespaces webhook.Namespaces
	// events and kube are nil without a cluster, identity without a feed.
	events   webhook.EventRecorder
	kube     kubernetes.Interface
	identity *identity
	// Index is what is known now.
	Index func() *tenants.Index
	// ready returns an error until everything is known.
	ready func() error
}

// source starts what the Tenants come from: the informer, which follows them until
// work ends, and the election of the leader, which the end of ctx ends.
func (o *options) source(ctx, work context.Context) (*source, error) {
	if o.standalone != "" {
		static, err := tenants.Load(o.config, o.standalone)
		if err != nil {
			return nil, err
		}
		for _, t := range static.Index().Tenants() {
			if len(t.Problems) > 0 {
				klog.InfoS("Tenant has problems, its pods cannot be admitted", "tenant", t.Name, "problems", tenants.Texts(t.Problems))
			}
		}
		declared, err := namespaces.Load(o.standalone)
		if err != nil {
			return nil, err
		}
		return &source{Tenants: static, namespaces: declared, Index: static.Index, ready: func() error { return nil }}, nil
	}
	config, err := o.restConfig()
	if err != nil {
		return nil, failure("%w", err)
	}
	client, err := tenants.NewClient(config)
	if err != nil {
		return nil, failure("%w", err)
	}
	cluster, err := tenants.NewCluster(o.config, client)
	if err != nil {
		return nil, failure("%w", err)
	}
	followed, err := followNamespaces(config)
	if err != nil {
		return nil, failure("%w", err)
	}
	recorder, err := newRecorder(config, o.identity)
	if err != nil {
		return nil, failure("%w", err)
	}
	kube, err := kubernetes.NewForConfig(protobuf(config))
	if err != nil {
		return nil, failure("make a client: %w", err)
	}
	var identity *identity
	var told tenants.Feed
	if o.feedService != "" {
		if identity, err = o.newIdentity(); err != nil {
			return nil, err
		}
		told.Pods, told.Identity = identity.members, identity.served
		told.Connected = o.connected(config, kube)
	}
	if o.leaderElect {
		if err := o.startElection(ctx, config, cluster, recorder, told); err != nil {
			return nil, failure("%w", err)
		}
	}
	go cluster.Run(work)
	go followed.Run(work)
	return &source{
		Tenants: cluster, namespaces: followed, events: recorder, kube: kube, identity: identity, Index: cluster.Index,
		ready: func() error {
			if !cluster.HasSynced() || !followed.HasSynced() {
				return errors.New("tenants and namespaces are not read yet")
			}
			return nil
		},
	}, nil
}

func followNamespaces(config *rest.Config) (*namespaces.Cluster, error) {
	kube, err := kubernetes.NewForConfig(protobuf(config))
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	client, err := metadata.NewForConfig(protobuf(config))
	if err != nil {
		return nil, fmt.Errorf("make a client for metadata: %w", err)
	}
	return namespaces.NewCluster(client, kube)
}

func (o *options) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("find the cluster: %w", err)
	}
	config.UserAgent = "bulkhead-webhook/" + version
	// A review waits for live reads; the API server's own priority and fairness
	// bounds them.
	config.QPS = -1
	return config, nil
}
