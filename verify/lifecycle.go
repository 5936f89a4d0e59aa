package verify

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

const (
	// runLabel is on everything that a run makes; its value is the run's.
	runLabel = "bulkhead.dev/verify"
	// untilAnnotation is until when the run that made it may be going on.
	untilAnnotation = "bulkhead.dev/verify-until"
	// webhookName is the webhook's in its configuration, whatever the release is called.
	webhookName = "validate.bulkhead.dev"

	pollInterval = 200 * time.Millisecond
)

var tenantResource = v1alpha1.GroupVersion.WithResource("tenants")

func newRunID() string { return strings.ToLower(rand.Text()[:10]) }

// own selects what this run made.
func (r *run) own() string { return runLabel + "=" + r.id }

// meta is that of an object of this run.
func (r *run) meta(namespace, name string) metav1.ObjectMeta {
	until := time.Now().Add(r.options.Timeout + tidyTimeout)
	return metav1.ObjectMeta{
		Namespace: namespace, Name: name,
		Labels:      map[string]string{runLabel: r.id},
		Annotations: map[string]string{untilAnnotation: until.UTC().Format(time.RFC3339)},
	}
}

// checkInstalled holds the mode against what is there.
func (r *run) checkInstalled(ctx context.Context) error {
	configurations, err := r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("look for Bulkhead: %w", err)
	}
	found := ""
	for _, configuration := range configurations.Items {
		for _, webhook := range configuration.Webhooks {
			if webhook.Name == webhookName {
				found = configuration.Name
			}
		}
	}
	switch {
	case found == "" && !r.options.Baseline:
		return fmt.Errorf("there is no Bulkhead: no ValidatingWebhookConfiguration has the webhook %s; install it, or play the attacks without it by --baseline", webhookName)
	case found != "" && r.options.Baseline:
		return fmt.Errorf("--baseline is for a cluster without Bulkhead, and ValidatingWebhookConfiguration %s is here; leave the flag out", found)
	}
	return nil
}

// removeLeftovers takes away what a run left that was killed. One that may still be going on is only named.
func (r *run) removeLeftovers(ctx context.Context) error {
	left, err := r.list(ctx, runLabel)
	if err != nil || len(left) == 0 {
		return err
	}
	var names []string
	for _, object := range left {
		until, err := time.Parse(time.RFC3339, object.GetAnnotations()[untilAnnotation])
		if err == nil && time.Now().Before(until) && !r.options.Replace {
			return fmt.Errorf("another run made %s and may be going on until %s; wait for it, or if it was killed take away what it left by --replace",
				describe(object), until.Local().Format(time.TimeOnly))
		}
		names = append(names, describe(object))
	}
	r.progress("  an earlier run left %s; that goes first", strings.Join(names, ", "))
	return r.remove(ctx, runLabel)
}

func describe(object metav1.Object) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return "pod " + namespace + "/" + object.GetName()
	}
	if _, ok := object.(*corev1.Namespace); ok {
		return "namespace " + object.GetName()
	}
	return "tenant " + object.GetName()
}

// list finds what runs made: Tenants and namespaces, or in namespaces that stay the pods.
func (r *run) list(ctx context.Context, selector string) ([]metav1.Object, error) {
	options := metav1.ListOptions{LabelSelector: selector}
	var found []metav1.Object
	if r.options.Existing {
		for _, namespace := range r.namespaces() {
			pods, err := r.client.CoreV1().Pods(namespace).List(ctx, options)
			if err != nil {
				return nil, err
			}
			for i := range pods.Items {
				found = append(found, &pods.Items[i])
			}
		}
		return found, nil
	}
	namespaces, err := r.client.CoreV1().Namespaces().List(ctx, options)
	if err != nil {
		return nil, err
	}
	for i := range namespaces.Items {
		found = append(found, &namespaces.Items[i])
	}
	if r.options.Baseline {
		return found, nil
	}
	tenants, err := r.tenants.List(ctx, options)
	if err != nil {
		return nil, err
	}
	for i := range tenants.Items {
		found = append(found, &tenants.Items[i])
	}
	return found, nil
}

// remove takes away what is selected, and waits until it is gone. Tenants go last: until then their pods are judged.
func (r *run) remove(ctx context.Context, selector string) error {
	if r.options.Existing {
		return r.removeObjects(ctx, selector)
	}
	options := metav1.ListOptions{LabelSelector: selector}
	namespaces, err := r.client.CoreV1().Namespaces().List(ctx, options)
	if err != nil {
		return err
	}
	for _, namespace := range namespaces.Items {
		// At once and not when the namespace controller comes to it.
		if err := r.client.CoreV1().Pods(namespace.Name).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return err
		}
		if err := r.client.CoreV1().Namespaces().Delete(ctx, namespace.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	err = poll(ctx, func() error {
		left, err := r.client.CoreV1().Namespaces().List(ctx, options)
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("namespace %s is still %s", left.Items[0].Name, left.Items[0].Status.Phase)
		}
		return err
	})
	if err != nil || r.options.Baseline {
		return err
	}
	tenants, err := r.tenants.List(ctx, options)
	if err != nil {
		return err
	}
	for _, tenant := range tenants.Items {
		if err := r.tenants.Delete(ctx, tenant.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// removeObjects takes away what is selected in namespaces that stay.
func (r *run) removeObjects(ctx context.Context, selector string) error {
	options := metav1.ListOptions{LabelSelector: selector}
	var errs []error
	for _, namespace := range r.namespaces() {
		services, err := r.client.CoreV1().Services(namespace).List(ctx, options)
		errs = append(errs, err)
		if err == nil {
			for _, service := range services.Items {
				errs = append(errs, r.client.CoreV1().Services(namespace).Delete(ctx, service.Name, metav1.DeleteOptions{}))
			}
		}
		slices, err := r.client.DiscoveryV1().EndpointSlices(namespace).List(ctx, options)
		errs = append(errs, err)
		if err == nil {
			for _, slice := range slices.Items {
				errs = append(errs, r.client.DiscoveryV1().EndpointSlices(namespace).Delete(ctx, slice.Name, metav1.DeleteOptions{}))
			}
		}
		errs = append(errs, r.client.CoreV1().Pods(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, options))
	}
	for i, err := range errs {
		if apierrors.IsNotFound(err) {
			errs[i] = nil // gone with what owned it
		}
	}
	return errors.Join(append(errs, poll(ctx, func() error {
		left, err := r.list(ctx, selector)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s is still there", describe(left[0]))
		}
		return err
	}))...)
}

// removal is what a person can do where the run could not.
func (r *run) removal() string {
	if r.options.Existing {
		return fmt.Sprintf("  kubectl delete pods,services,endpointslices -n %s -l %s\n  kubectl delete pods,services,endpointslices -n %s -l %[2]s",
			r.options.A.Namespace, r.own(), r.options.B.Namespace)
	}
	command := "  kubectl delete namespaces -l " + r.own()
	if !r.options.Baseline {
		command += "\n  kubectl delete tenants -l " + r.own()
	}
	return command
}

func (r *run) namespaces() []string { return []string{r.options.A.Namespace, r.options.B.Namespace} }

// makeTenant makes a side's namespace, and its Tenant if there is Bulkhead.
func (r *run) makeTenant(ctx context.Context, side Side) error {
	namespace := &corev1.Namespace{ObjectMeta: r.meta("", side.Namespace)}
	for key, value := range side.Annotations {
		namespace.Annotations[key] = value
	}
	_, err := r.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("namespace %s exists and is not verify's; name another by --namespace-a or --namespace-b, or use it as it is by --existing", side.Namespace)
	}
	if err != nil {
		return err
	}
	if !r.options.Baseline {
		if err := r.createTenant(ctx, side); err != nil {
			return err
		}
	}
	// The API server refuses pods of an account that is not there yet.
	return poll(ctx, func() error {
		_, err := r.client.CoreV1().ServiceAccounts(side.Namespace).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

func (r *run) createTenant(ctx context.Context, side Side) error {
	tenant := v1alpha1.Tenant{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Tenant"},
		ObjectMeta: r.meta("", side.Namespace),
		Spec: v1alpha1.TenantSpec{
			Namespaces:  []string{side.Namespace},
			Networks:    r.options.Networks,
			Addressing:  v1alpha1.Addressing{Mode: v1alpha1.AddressingIdentity},
			PodSecurity: v1alpha1.PodSecurity{Enforce: v1alpha1.Baseline, Warn: v1alpha1.Baseline},
			Enforcement: v1alpha1.Enforce,
		},
	}
	if len(side.CIDRs) == 0 {
		tenant.Spec.Public = []string{side.Namespace + "/" + serviceName(public)}
	}
	for _, cidr := range side.CIDRs {
		tenant.Spec.Addressing.Mode = v1alpha1.AddressingCIDR
		tenant.Spec.Addressing.CIDRs = append(tenant.Spec.Addressing.CIDRs, cidr.String())
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&tenant)
	if err != nil {
		return err
	}
	delete(content, "status")
	if _, err := r.tenants.Create(ctx, &unstructured.Unstructured{Object: content}, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("make the tenant %s with addressing %s %v: %w", side.Namespace, tenant.Spec.Addressing.Mode, side.CIDRs, err)
	}
	return nil
}

// tenantOf finds the ranges of the tenant that an existing namespace belongs to.
func (r *run) tenantOf(ctx context.Context, namespace string) (v1alpha1.Tenant, error) {
	list, err := r.tenants.List(ctx, metav1.ListOptions{})
	if err != nil {
		return v1alpha1.Tenant{}, err
	}
	for _, item := range list.Items {
		var tenant v1alpha1.Tenant
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, &tenant); err != nil {
			return v1alpha1.Tenant{}, err
		}
		if slices.Contains(tenant.Spec.Namespaces, namespace) {
			return tenant, nil
		}
	}
	return v1alpha1.Tenant{}, fmt.Errorf("no Tenant owns namespace %s; with --existing each of the two must belong to a Tenant", namespace)
}

// poll calls f until it succeeds; when the context ends it returns f's last error.
func poll(ctx context.Context, f func() error) error {
	var last error
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(context.Context) (bool, error) {
		err := f()
		if err == nil {
			return true, nil
		}
		if ctx.Err() == nil || last == nil {
			last = err // one that comes of the end itself says less
		}
		return false, nil
	})
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), last)
}
