package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// right is something that a run does.
type right struct {
	verbs, group, resource, subresource string
	namespaced                          bool // in the tenants' namespaces; else in the whole cluster
	why                                 string
}

func (r right) String() string {
	name := r.resource
	if r.group != "" {
		name += "." + r.group
	}
	if r.subresource != "" {
		name += "/" + r.subresource
	}
	return name
}

// rights are what a run takes.
func (o *Options) rights() []right {
	needed := []right{
		{"list", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", false, "see whether Bulkhead is there"},
		{"create get list watch delete deletecollection patch", "", "pods", "", true, "run the two tenants' pods"},
		{"create get", "", "pods", "exec", true, "make the attempts in them"},
		{"get", "", "pods", "log", true, "read what they tried first"},
		{"patch", "", "pods", "ephemeralcontainers", true, "try what kubectl debug does"},
		{"create list delete", "", "services", "", true, "go by Services"},
		{"patch", "", "services", "status", true, "give a Service a load balancer's address"},
		{"create list delete", "discovery.k8s.io", "endpointslices", "", true, "try to forge a Service's endpoints"},
	}
	if !o.Existing {
		needed = append(needed,
			right{"create get list delete", "", "namespaces", "", false, "make the two tenants' namespaces, and remove them"},
			right{"get", "", "serviceaccounts", "", true, "see that pods can start there"})
	}
	if !o.Baseline {
		verbs := "create get list delete"
		if o.Existing {
			verbs = "get list"
		}
		needed = append(needed, right{verbs, "bulkhead.dev", "tenants", "", false, "tell Bulkhead of the two tenants"})
	}
	return needed
}

// checkRights asks the API server for every right before anything is done, and names all that are missing.
func checkRights(ctx context.Context, client kubernetes.Interface, o *Options) error {
	var missing []string
	for _, r := range o.rights() {
		namespaces := []string{""}
		if r.namespaced {
			namespaces = []string{o.A.Namespace, o.B.Namespace}
		}
		for _, namespace := range namespaces {
			var denied []string
			for _, verb := range strings.Fields(r.verbs) {
				allowed, err := allowed(ctx, client, r, verb, namespace)
				if err != nil {
					return err
				}
				if !allowed {
					denied = append(denied, verb)
				}
			}
			if len(denied) > 0 {
				missing = append(missing, missingText(r, denied, namespace))
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return errors.New("you may not do what verify does; ask an administrator for, or use the kubeconfig of somebody with:\n  " +
		strings.Join(missing, "\n  "))
}

func missingText(r right, verbs []string, namespace string) string {
	where := "in the whole cluster"
	if namespace != "" {
		where = "in namespace " + namespace
	}
	return fmt.Sprintf("%s %s %s, to %s", strings.Join(verbs, ", "), r, where, r.why)
}

func allowed(ctx context.Context, client kubernetes.Interface, r right, verb, namespace string) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Verb: verb, Group: r.group, Resource: r.resource, Subresource: r.subresource,
		},
	}}
	answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("ask the API server for the right to %s %s: %w", verb, r, err)
	}
	return answer.Status.Allowed, nil
}
