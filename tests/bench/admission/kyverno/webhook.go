package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	kyvernofake "github.com/kyverno/kyverno/pkg/client/clientset/versioned/fake"
	kyvernoinformers "github.com/kyverno/kyverno/pkg/client/informers/externalversions"
	"github.com/kyverno/kyverno/pkg/clients/dclient"
	"github.com/kyverno/kyverno/pkg/config"
	"github.com/kyverno/kyverno/pkg/engine"
	"github.com/kyverno/kyverno/pkg/engine/adapters"
	"github.com/kyverno/kyverno/pkg/engine/context/resolvers"
	"github.com/kyverno/kyverno/pkg/engine/factories"
	"github.com/kyverno/kyverno/pkg/engine/jmespath"
	"github.com/kyverno/kyverno/pkg/event"
	imageverifycache "github.com/kyverno/kyverno/pkg/image/verification/cache"
	"github.com/kyverno/kyverno/pkg/logging"
	"github.com/kyverno/kyverno/pkg/metrics"
	"github.com/kyverno/kyverno/pkg/policycache"
	reportutils "github.com/kyverno/kyverno/pkg/utils/report"
	kyvernoyaml "github.com/kyverno/kyverno/pkg/utils/yaml"
	"github.com/kyverno/kyverno/pkg/webhooks/handlers"
	"github.com/kyverno/kyverno/pkg/webhooks/resource"
	"github.com/kyverno/kyverno/pkg/webhooks/updaterequest"
	"github.com/kyverno/sdk/extensions/registryclient"
	"go.opentelemetry.io/otel"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

// newWebhook is the handler of Kyverno's admission controller for reviews of resources,
// put together as NewServer of pkg/webhooks does, which cannot be had without a server,
// with the chart's defaults: no policy exceptions, metrics, logs of verbosity 2. What it
// asks an API server for is here already. Reports, which Kyverno writes after the
// answer, are off, and events go nowhere: in its favour.
func newWebhook(policies []byte, verbosity int) (http.Handler, error) {
	if err := logging.Setup(logging.TextFormat, logging.DefaultTime, verbosity, true); err != nil {
		return nil, err
	}
	// Its package keeps it, and asks for it even where reports are off.
	reportutils.NewReportingConfig([]string{"pass", "fail", "warn", "error", "skip"}, "validate", "mutate", "mutateExisting", "imageVerify", "generate")
	otel.SetMeterProvider(sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewManualReader())))
	recorded := metrics.NewFakeMetricsConfig() // the real ones, of otel's provider
	metrics.SetManager(recorded)

	pods := dclient.NewFakeDiscoveryClient([]schema.GroupVersionResource{corev1.SchemeGroupVersion.WithResource("pods")})
	cache, err := newCache(policies, pods)
	if err != nil {
		return nil, err
	}
	kube, kyverno := fake.NewClientset(), kyvernofake.NewSimpleClientset()
	core, own := informers.NewSharedInformerFactory(kube, 0), kyvernoinformers.NewSharedInformerFactory(kyverno, 0)
	namespaces := core.Core().V1().Namespaces()
	for _, level := range []string{"baseline", "restricted"} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: level, Labels: map[string]string{corev1.LabelMetadataName: level}}}
		if err := namespaces.Informer().GetIndexer().Add(namespace); err != nil {
			return nil, err
		}
	}
	maps, err := resolvers.NewClientBasedResolver(kube)
	if err != nil {
		return nil, err
	}
	configuration := config.NewDefaultConfiguration(false)
	jp, client := jmespath.New(configuration), dclient.NewEmptyFakeClient()
	decides := resource.NewHandlers(
		engine.NewEngine(
			configuration, jp, adapters.Client(client),
			factories.DefaultRegistryClientFactory(adapters.RegistryClient(registryclient.New()), nil),
			imageverifycache.DisabledImageVerifyCache(), factories.DefaultContextLoaderFactory(maps), nil, nil,
		),
		client, kyverno, configuration, recorded, cache, namespaces.Lister(),
		own.Kyverno().V2().UpdateRequests().Lister().UpdateRequests(config.KyvernoNamespace()),
		own.Kyverno().V1().ClusterPolicies(), own.Kyverno().V1().Policies(),
		updaterequest.NewFake(), event.NewFake(), false, "", "", jp, 8, 1000,
	)
	bindings := core.Rbac().V1()
	return handlers.FromAdmissionFunc("VALIDATE", func(ctx context.Context, logger logr.Logger, request handlers.AdmissionRequest, began time.Time) handlers.AdmissionResponse {
		return decides.Validate(ctx, logger, request, "all", began)
	}).
		WithFilter(configuration).
		WithProtection(false).
		WithDump(false).
		WithRoles(bindings.RoleBindings().Lister(), bindings.ClusterRoleBindings().Lister()).
		WithMetrics(logging.GlobalLogger(), metrics.WebhookValidating).
		WithTopLevelGVK(pods).
		WithAdmission(logging.WithName("webhooks").WithName("resource").WithName("validate")).
		ToHandlerFunc("VALIDATE"), nil
}

// newCache has the policies as Kyverno's controller of policies puts them there.
func newCache(text []byte, pods policycache.ResourceFinder) (policycache.Cache, error) {
	loaded, _, _, _, _, _, _, err := kyvernoyaml.GetPolicy(text)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	cache := policycache.NewCache()
	for _, policy := range loaded {
		if err := cache.Set(policy.GetName(), policy, pods); err != nil {
			return nil, fmt.Errorf("policy %s: %w", policy.GetName(), err)
		}
	}
	return cache, nil
}
