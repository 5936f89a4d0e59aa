package verify

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/bulkhead-dev/bulkhead/verify/probe"
)

// stage is where the checks are played: the standing pods of both tenants, which no check changes. A check that
// changes a pod starts one of its own.
type stage struct {
	*run
	protected bool
	// identity: the tenants' peers are the pods that exist, not ranges.
	identity bool
	a, b     tenant
	web      *corev1.Service // a's, with two endpoints
	early    func() (early, error)
}

// tenant is one side and its standing pods.
type tenant struct {
	namespace      string
	server, second *pod // behind the tenant's Service; b has only a server
	client         *pod
}

// prepare makes tenants, pods and the Service.
func (r *run) prepare(ctx context.Context) (*stage, error) {
	if !r.options.Existing {
		var tenants errgroup.Group
		for _, side := range []Side{r.options.A, r.options.B} {
			tenants.Go(func() error { return r.makeTenant(ctx, side) })
		}
		if err := tenants.Wait(); err != nil {
			return nil, err
		}
	}
	for _, namespace := range r.namespaces() {
		if err := r.waitUntilLive(ctx, namespace); err != nil {
			return nil, err
		}
	}
	s := &stage{run: r, protected: !r.options.Baseline, identity: r.identity(), a: tenant{namespace: r.options.A.Namespace}, b: tenant{namespace: r.options.B.Namespace}}
	s.early = s.oncePlayEarly(ctx)

	endpoint := func(p *corev1.Pod) { p.Labels[endpointLabel] = "web" }
	pods, running := errgroup.WithContext(ctx)
	for _, standing := range []struct {
		as       **pod
		manifest *corev1.Pod
	}{
		{&s.a.server, r.manifest(s.a.namespace, "server", endpoint)},
		{&s.a.second, r.manifest(s.a.namespace, "second", endpoint)},
		{&s.a.client, r.manifest(s.a.namespace, "client")},
		{&s.b.server, r.manifest(s.b.namespace, "server")},
		{&s.b.client, r.manifest(s.b.namespace, "client")},
	} {
		pods.Go(func() (err error) {
			*standing.as, err = r.start(running, standing.manifest)
			return err
		})
	}
	if err := pods.Wait(); err != nil {
		return nil, err
	}
	var err error
	s.web, err = r.createService(ctx, r.service(s.a.namespace, "web", func(service *corev1.Service) {
		service.Spec.Selector = map[string]string{endpointLabel: "web", runLabel: r.id}
	}))
	if err == nil && s.identity {
		s.settle(ctx)
	}
	return s, err
}

// settle waits until the standing pods have heard of each other, for a while: if they have not then, the checks say so.
func (s *stage) settle(ctx context.Context) {
	for _, way := range []struct{ from, to *pod }{{s.a.client, s.a.server}, {s.a.client, s.a.second}, {s.b.client, s.b.server}} {
		if err := s.mustReach(ctx, way.from, way.to.targets(probe.ServicePort)); err != nil {
			s.progress("  %v", err)
		}
	}
}

// identity tells whether the tenants have no ranges.
func (r *run) identity() bool { return !r.options.Baseline && len(r.options.A.CIDRs) == 0 }

// readTenant takes the ranges of an existing namespace from its Tenant.
func (r *run) readTenant(ctx context.Context, side *Side) error {
	tenant, err := r.tenantOf(ctx, side.Namespace)
	if err != nil {
		return err
	}
	side.public = tenant.Spec.Public
	for _, cidr := range tenant.Spec.Addressing.CIDRs {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			return fmt.Errorf("tenant %s: %w", tenant.Name, err)
		}
		side.CIDRs = append(side.CIDRs, prefix)
	}
	return nil
}

// waitUntilLive creates a pod for a trial until it is admitted, and with Bulkhead until the webhook puts the firewall
// in: it hears of new Tenants a moment after they are made.
func (r *run) waitUntilLive(ctx context.Context, namespace string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, liveTimeout, fmt.Errorf("it took longer than %s", liveTimeout))
	defer cancel()
	err := poll(ctx, func() error {
		trial, err := r.client.CoreV1().Pods(namespace).Create(ctx, r.manifest(namespace, "trial"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if !r.options.Baseline && !hasSidecar(trial) {
			return errors.New("the webhook puts no firewall into its pods; see kubectl get tenants (condition Ready, enforcement enforce) and the webhook's log")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait until pods can be created in %s: %w", namespace, err)
	}
	return nil
}

// serviceName is what a Service of the run is called.
func serviceName(name string) string { return "bulkhead-verify-" + name }

// service is a Service of the run for the probe's two ports.
func (r *run) service(namespace, name string, change func(*corev1.Service)) *corev1.Service {
	policy := corev1.IPFamilyPolicyPreferDualStack
	service := &corev1.Service{
		ObjectMeta: r.meta(namespace, serviceName(name)),
		Spec: corev1.ServiceSpec{
			IPFamilyPolicy: &policy,
			Ports: []corev1.ServicePort{
				{Name: "service", Port: servicePort, TargetPort: intstr.FromInt32(probe.ServicePort)},
				{Name: "ready", Port: readyPort, TargetPort: intstr.FromInt32(probe.ReadyPort)},
			},
		},
	}
	change(service)
	return service
}

func (r *run) createService(ctx context.Context, service *corev1.Service) (*corev1.Service, error) {
	created, err := r.client.CoreV1().Services(service.Namespace).Create(ctx, service, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create a Service: %w", err)
	}
	return created, nil
}
