package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

const (
	// leaseName is the Lease of the leader, who keeps the Tenants' status.
	leaseName = "bulkhead-webhook-leader"

	// The periods of Kubernetes' own components.
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// startElection keeps the Tenants' status whenever this process is the leader.
func (o *options) startElection(ctx context.Context, config *rest.Config, cluster *tenants.Cluster, events tenants.EventRecorder, feed tenants.Feed) error {
	kube, err := kubernetes.NewForConfig(protobuf(config))
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	name := o.identity
	if name == "" {
		if name, err = os.Hostname(); err != nil {
			return fmt.Errorf("name this candidate: %w", err)
		}
	}
	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.leaseNamespace, leaseName,
		kube.CoreV1(), kube.CoordinationV1(),
		resourcelock.ResourceLockConfig{Identity: name + "_" + string(uuid.NewUUID())})
	if err != nil {
		return fmt.Errorf("prepare lease %s/%s: %w", o.leaseNamespace, leaseName, err)
	}
	controller := tenants.NewStatusController(cluster, kube, events, feed)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:            leaseName,
		Lock:            lock,
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				klog.InfoS("Leading: keeping the status of Tenants")
				if err := controller.Run(ctx); err != nil {
					klog.ErrorS(err, "Cannot keep the status of Tenants")
				}
			},
			OnStoppedLeading: func() { klog.InfoS("Not leading any more") },
		},
	})
	if err != nil {
		return fmt.Errorf("prepare election: %w", err)
	}
	go func() {
		for ctx.Err() == nil {
			elector.Run(ctx)
		}
	}()
	return nil
}

// protobuf is the configuration for built-in resources: pods, of which there are
// many, are decoded faster from protobuf.
func protobuf(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType = runtime.ContentTypeProtobuf
	c.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	return c
}
