package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/certs"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/customrules"
	"github.com/bulkhead-dev/bulkhead/webhook/namespaces"
)

// run serves until the context ends, and then drains.
func run(ctx context.Context, o *options) error {
	klog.InfoS("Starting", "version", version, "config", o.configFile, "standalone", o.standalone)
	// What serving needs goes on until the last request is answered.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()

	registry := metrics.NewKubeRegistry()
	engine, err := o.rules(ctx, work, registry)
	if err != nil {
		return failure("prepare the rules: %w", err)
	}
	pair, err := o.servingPair()
	if err != nil {
		return failure("%w", err)
	}
	source, err := o.source(ctx, work)
	if err != nil {
		return err
	}
	parts := webhook.Parts{Tenants: source.Tenants, Namespaces: source.namespaces, Engine: engine, Remember: webhook.RememberedBytes}
	if source.kube != nil {
		parts.Pods = namespaces.NewPods(source.kube)
	}
	ready := []healthz.HealthChecker{
		healthz.NewShutdownHealthz(ctx.Done()),
		check("certificate", pair.Check),
		check("tenants", source.ready),
		check("rules", func() error { return webhook.CheckRules(work, engine()) }),
	}
	var ports []port
	if o.feedService != "" {
		feed, err := o.startFeed(work, source, registry)
		if err != nil {
			return failure("prepare the feed: %w", err)
		}
		parts.Feed, parts.Identity, parts.Addresses = feed.service.Feed, source.identity.served, source.identity
		ready, ports = append(ready, check("feed", feed.ready)), append(ports, feed.port)
		// Streams end by and by while others stop to send new requests here.
		context.AfterFunc(ctx, func() { feed.handler.Drain(o.shutdownDelay) })
	}
	admission, err := webhook.NewAdmission(o.config, parts)
	if err != nil {
		return failure("prepare admission: %w", err)
	}
	info, clientCertificates, err := o.serving(pair)
	if err != nil {
		return failure("%w", err)
	}
	decisions, err := o.decisions()
	if err != nil {
		return failure("%w", err)
	}
	registerGauges(registry, pair, source)
	handler := webhook.NewHandler(webhook.Options{
		Admission:          admission,
		Metrics:            webhook.NewMetrics(registry),
		DecisionLog:        decisions,
		Events:             source.events,
		MetricsHandler:     metricsHandler(registry),
		Live:               []healthz.HealthChecker{healthz.PingHealthz},
		Ready:              ready,
		MaxInFlight:        o.maxInFlight,
		RequestTimeout:     o.requestTimeout,
		ClientCertificates: clientCertificates,
	})
	return o.serve(ctx, append(ports, port{info: info, handler: handler})...)
}

// rules prepares Bulkhead's rules, and the administrators' if there are any.
func (o *options) rules(ctx, work context.Context, registry metrics.KubeRegistry) (func() webhook.Engine, error) {
	compile := func(ctx context.Context, modules map[string]string) (webhook.Engine, error) {
		return rego.New(ctx, modules)
	}
	if o.customRules == "" {
		engine, err := compile(ctx, nil)
		return func() webhook.Engine { return engine }, err
	}
	rules, err := customrules.New(ctx, o.customRules, compile, customrules.NewMetrics(registry))
	if err != nil {
		return nil, err
	}
	go rules.Run(work)
	return rules.Current, nil
}

func check(name string, f func() error) healthz.HealthChecker {
	return healthz.NamedCheck(name, func(*http.Request) error { return f() })
}

// serve returns after the drain: after SIGTERM the readiness check fails, then
// nobody new is let in, then the last requests end.
func (o *options) serve(ctx context.Context, ports ...port) error {
	stop := make(chan struct{})
	var ended []<-chan struct{}
	for _, p := range ports {
		drained, closed, err := p.serve(o.shutdownTimeout, stop)
		if err != nil {
			return failure("serve: %w", err)
		}
		ended = append(ended, closed, drained)
	}
	<-ctx.Done()
	klog.InfoS("Draining", "delay", o.shutdownDelay, "timeout", o.shutdownTimeout)
	time.Sleep(o.shutdownDelay)
	close(stop)
	for _, end := range ended {
		<-end
	}
	klog.InfoS("Drained")
	return nil
}

func (o *options) servingPair() (*certs.Pair, error) {
	if o.certFile != "" {
		return certs.FromFiles(o.certFile, o.keyFile)
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if ip := net.ParseIP(o.bindAddress); ip != nil && !ip.IsUnspecified() && !ip.IsLoopback() {
		hosts = append(hosts, ip.String())
	}
	return certs.SelfSigned(hosts...)
}

// serving opens the port. The authenticator is nil if everybody may send reviews.
func (o *options) serving(pair *certs.Pair) (*server.SecureServingInfo, authenticator.Request, error) {
	info, err := o.listen(pair, o.securePort)
	if err != nil {
		return nil, nil, err
	}
	var clients authenticator.Request
	if o.clientCAFile != "" {
		ca, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca", o.clientCAFile)
		if err != nil {
			return nil, nil, fmt.Errorf("load --client-ca-file: %w", err)
		}
		info.ClientCA = ca
		clients = x509.NewDynamicCAVerifier(ca.VerifyOptions,
			x509.NewDynamic(ca.VerifyOptions, x509.CommonNameUserConversion), x509.StaticStringSlice(o.clientAllowedNames))
	}
	return info, clients, nil
}

// listen opens a port. Each needs a pair of its own, which tells one listener of
// renewals.
func (o *options) listen(pair *certs.Pair, number int) (*server.SecureServingInfo, error) {
	minVersion, err := cliflag.TLSVersion(o.tlsMinVersion)
	if err != nil {
		return nil, fmt.Errorf("--tls-min-version: %w", err)
	}
	suites, err := cliflag.TLSCipherSuites(o.tlsCipherSuites)
	if err != nil {
		return nil, fmt.Errorf("--tls-cipher-suites: %w", err)
	}
	info := &server.SecureServingInfo{Cert: pair, MinTLSVersion: max(minVersion, tls.VersionTLS12), CipherSuites: suites}
	address := net.JoinHostPort(o.bindAddress, strconv.Itoa(number))
	if info.Listener, err = net.Listen("tcp", address); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return info, nil
}
