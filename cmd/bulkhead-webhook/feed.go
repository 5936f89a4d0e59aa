package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/feed"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
)

// feedServicePort is the port of the feed's Service, whatever its pods listen on.
const feedServicePort = 443

// feedService is where sidecars find the feed, as every replica tells them: the
// Service's address, the name in the certificate and the CA that signed it. Replicas
// see a new CA within the time that kubelets take to renew a mounted Secret; until
// both have, one may refuse what the other injected, and the workload's controller
// tries again.
type feedService struct {
	namespace, name string
	ca              *dynamiccertificates.DynamicFileCAContent
	address         atomic.Pointer[netip.AddrPort]
}

func (o *options) newFeedService() (*feedService, error) {
	namespace, name, _ := strings.Cut(o.feedService, "/")
	ca, err := dynamiccertificates.NewDynamicCAContentFromFile("feed-ca", o.feedCAFile)
	if err != nil {
		return nil, fmt.Errorf("load --feed-ca-file: %w", err)
	}
	return &feedService{namespace: namespace, name: name, ca: ca}, nil
}

// Feed is webhook.Feed.
func (f *feedService) Feed() (*sidecarconfig.Feed, error) {
	address := f.address.Load()
	if address == nil {
		return nil, fmt.Errorf("the address of the feed's Service %s/%s is not known yet", f.namespace, f.name)
	}
	return &sidecarconfig.Feed{
		Address:    *address,
		ServerName: f.name + "." + f.namespace + ".svc",
		CA:         string(f.ca.CurrentCABundleContent()),
	}, nil
}

func (f *feedService) ready() error {
	_, err := f.Feed()
	return err
}

// follow keeps the address and the CA until the context ends. A Service that is
// deleted keeps its address here until there is a new one: what is injected does not
// change with it.
func (f *feedService) follow(ctx context.Context, kube kubernetes.Interface) error {
	factory := informers.NewSharedInformerFactoryWithOptions(kube, 0, informers.WithNamespace(f.namespace),
		informers.WithTweakListOptions(func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("metadata.name", f.name).String()
		}))
	_, err := factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { f.found(object.(*corev1.Service)) },
		UpdateFunc: func(_, object any) { f.found(object.(*corev1.Service)) },
	})
	if err != nil {
		return fmt.Errorf("follow the feed's Service: %w", err)
	}
	factory.StartWithContext(ctx)
	go f.ca.Run(ctx, 1)
	return nil
}

func (f *feedService) found(service *corev1.Service) {
	ip, err := netip.ParseAddr(service.Spec.ClusterIP)
	if err != nil {
		klog.ErrorS(err, "The feed's Service has no address", "service", klog.KObj(service), "clusterIP", service.Spec.ClusterIP)
		return
	}
	address := netip.AddrPortFrom(ip, feedServicePort)
	if before := f.address.Swap(&address); before == nil || *before != address {
		klog.InfoS("Sidecars report to", "service", klog.KObj(service), "address", address)
	}
}

// startedFeed is the feed, which follows the cluster.
type startedFeed struct {
	service *feedService
	handler *feed.Handler
	port    port
	ready   func() error
}

// startFeed follows the feed's Service, and who belongs to whom, until the context ends,
// and opens the port.
func (o *options) startFeed(ctx context.Context, source *source, open metrics.KubeRegistry) (*startedFeed, error) {
	service, err := o.newFeedService()
	if err != nil {
		return nil, err
	}
	if err := service.follow(ctx, source.kube); err != nil {
		return nil, err
	}
	f, err := o.feedServer(source, open)
	if err != nil {
		return nil, err
	}
	f.service = service
	if os.Getenv("GOGC") == "" {
		// Most of the heap is what is known of the cluster, and stays: half as much
		// beside it is room enough for what comes and goes.
		debug.SetGCPercent(50)
	}
	read := source.identity.follow(ctx, source)
	f.ready = func() error { return errors.Join(service.ready(), read()) }
	return f, nil
}

// feedServer is the feed's port, ready to serve.
func (o *options) feedServer(source *source, open metrics.KubeRegistry) (*startedFeed, error) {
	pair, err := o.servingPair()
	if err != nil {
		return nil, err
	}
	info, err := o.listen(pair, o.feedPort)
	if err != nil {
		return nil, err
	}
	perTenant := metrics.NewKubeRegistry()
	handler := feed.NewHandler(feed.Options{
		Tokens: source.kube.AuthenticationV1().TokenReviews(),
		Access: source.kube.AuthorizationV1().SubjectAccessReviews(),
		Tenant: func(namespace string) string {
			if owner := source.Index().Owner(namespace); owner != nil {
				return owner.Name
			}
			return ""
		},
		Events:        source.events,
		Metrics:       feed.NewMetrics(open, perTenant),
		TenantMetrics: metrics.HandlerFor(perTenant, metrics.HandlerOpts{}),
		Peers:         source.identity.Store,
		Lease:         source.identity.lease,
	})
	return &startedFeed{handler: handler, port: port{info: info, handler: handler, welcome: handler.Welcome}}, nil
}

// validateFeed checks the flags of the feed.
func (o *options) validateFeed(report func(string, ...any)) {
	if o.feedService == "" {
		return
	}
	if namespace, name, ok := strings.Cut(o.feedService, "/"); !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		report("--feed-service %q is not NAMESPACE/NAME", o.feedService)
	}
	if _, err := os.Stat(o.feedCAFile); o.feedCAFile == "" || errors.Is(err, os.ErrNotExist) {
		report("--feed-service needs --feed-ca-file, a file that exists")
	}
	if o.feedPort < 1 || o.feedPort > 65535 {
		report("--feed-port %d is not between 1 and 65535", o.feedPort)
	}
}
