// Package outage takes away, one after the other, what Bulkhead's admission rests on, while tenants create good and bad
// pods without a pause: replicas of the webhook, its serving certificate, the API server, all replicas at once, and at
// last the webhook configurations too. Whatever is missing, no bad pod may be admitted, and no good one may be refused
// but by the API server itself while no replica is there to answer.
//
// The pods are created for a trial only (dry run): the whole of admission decides, and no pod has to be started. What
// must go on without the webhook (kube-system, deletion, finalizers) is done for real.
package outage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulkhead-dev/bulkhead/tests/testbed/cluster"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/install"
	"github.com/bulkhead-dev/bulkhead/tests/testbed/progress"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// alice is the tenant, and its namespace.
const alice = "alice"

// calm is how long the stream runs before the first disturbance and after each.
const calm = 2 * time.Second

// phase is one disturbance, and what may happen to good pods meanwhile.
type phase struct {
	name    string
	disturb func(context.Context) error
	// unanswered: the API server may refuse because no replica answers.
	unanswered bool
	// away: the API server itself may not answer.
	away bool
	// refused: rules may refuse them, as no webhook injects the sidecar.
	refused bool
}

// run is one run on one cluster.
type run struct {
	*cluster.Cluster
	log    *progress.Log
	stream *stream
	report Report
}

// Run starts a cluster with Bulkhead, plays every outage and takes the cluster down. An error means that the run could
// not be done or that what must go on did not; what became of the pods is in the report. The repository must hold
// Bulkhead's built images.
func Run(ctx context.Context, repository string, log *progress.Log) (report Report, err error) {
	c, err := cluster.Start(ctx, cluster.Options{Repository: repository, Log: log})
	if err != nil {
		return Report{}, err
	}
	r := &run{Cluster: c, log: log}
	defer func() {
		if err != nil || len(report.Problems()) > 0 {
			logs, keepErr := c.KeepLogs()
			log.Printf("the components' and pods' logs are in %s", logs)
			err = errors.Join(err, keepErr)
		}
		err = errors.Join(err, log.Step("take the cluster down", c.Stop))
	}()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"install cert-manager and Bulkhead", r.install},
		{"look what the API server thinks of the policies", r.checkTypes},
		{"play", r.play},
		{"uninstall, and install again", r.reinstall},
	} {
		if err := log.Step(step.name, func() error { return step.do(ctx) }); err != nil {
			return r.report, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return r.report, nil
}

func (r *run) install(ctx context.Context) error {
	if err := install.CertManager(ctx, r.Cluster); err != nil {
		return err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: alice}}
	if _, err := r.Client().CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return err
	}
	return r.installBulkhead(ctx)
}

func (r *run) installBulkhead(ctx context.Context) error {
	return install.Bulkhead(ctx, r.Cluster, nil, install.Tenant{Name: alice, Namespaces: []string{alice}})
}

// checkTypes: the controller manager has held the policies' expressions against the types of what they judge, and found
// no field that does not exist.
func (r *run) checkTypes(ctx context.Context) error {
	policies := r.Client().AdmissionregistrationV1().ValidatingAdmissionPolicies()
	return r.Wait(ctx, "the policies to be checked", deadline, func(ctx context.Context) error {
		list, err := policies.List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=bulkhead"})
		if err != nil {
			return err
		}
		if len(list.Items) != 2 {
			return fmt.Errorf("%d policies", len(list.Items))
		}
		for _, policy := range list.Items {
			if policy.Status.ObservedGeneration != policy.Generation || policy.Status.TypeChecking == nil {
				return fmt.Errorf("%s is not checked yet", policy.Name)
			}
			for _, warning := range policy.Status.TypeChecking.ExpressionWarnings {
				return fmt.Errorf("%s, %s: %s", policy.Name, warning.FieldRef, warning.Warning)
			}
		}
		return nil
	})
}

// reinstall: when Bulkhead has gone pods start as if it had never been there, and it can come again.
func (r *run) reinstall(ctx context.Context) error {
	if err := install.UninstallBulkhead(ctx, r.Cluster); err != nil {
		return err
	}
	left, err := r.Kubectl(ctx, "get", "--output=name", "--selector=app.kubernetes.io/part-of=bulkhead",
		"validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings")
	if err != nil {
		return err
	}
	if left != "" {
		return fmt.Errorf("the uninstallation leaves %q", left)
	}
	pod, err := r.startPod(ctx, alice)
	if err != nil {
		return err
	}
	if injected := len(pod.Spec.InitContainers); injected > 0 {
		return fmt.Errorf("a new pod has %d init containers", injected)
	}
	if err := r.DeletePod(ctx, pod.Namespace, pod.Name); err != nil {
		return err
	}
	return r.installBulkhead(ctx)
}

func (r *run) play(ctx context.Context) error {
	pod, err := r.startPod(ctx, alice)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	if r.stream, err = startStream(ctx, r.Cluster); err != nil {
		stop()
		return err
	}
	defer r.stream.wait()
	defer stop()
	for _, p := range []phase{
		{name: "nothing is wrong", disturb: func(context.Context) error { return nil }},
		{name: "replicas deleted, one after the other", disturb: r.deleteReplicas},
		{name: "replicas killed, one after the other", disturb: r.killReplicas, unanswered: true},
		{name: "the serving certificate renewed", disturb: r.renewCertificate},
		{name: "the API server restarted", disturb: r.restartAPIServer, away: true},
		{name: "all replicas killed at once", disturb: r.killAll, unanswered: true},
		{name: "no replica", disturb: func(ctx context.Context) error { return r.withoutReplicas(ctx, pod) }, unanswered: true},
		{name: "no replica, no webhook configuration", disturb: r.withoutWebhooks, unanswered: true, refused: true},
		{name: "upgraded again", disturb: r.upgrade, unanswered: true, refused: true},
		{name: "all is well again", disturb: func(context.Context) error { return nil }},
	} {
		if err := r.log.Step(p.name, func() error { return r.phase(ctx, p) }); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// phase counts what becomes of the stream from the disturbance's begin to some time after its end.
func (r *run) phase(ctx context.Context, p phase) error {
	counts, began := r.stream.count(), time.Now()
	err := p.disturb(ctx)
	if err == nil {
		err = sleep(ctx, calm)
	}
	r.report.add(p, counts.close(), time.Since(began))
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
