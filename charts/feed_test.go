package charts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// TestFeed: the ways to the feed meet, and without it there is nothing of it.
func TestFeed(t *testing.T) {
	const policy = "networkPolicy: {enabled: true}\n"
	all := objects(t, template(t, policy))
	services := pick[*corev1.Service](t, all)
	index := slices.IndexFunc(services, func(s *corev1.Service) bool { return s.Name == "bulkhead-feed" })
	if index < 0 {
		t.Fatal("no Service bulkhead-feed")
	}
	service := services[index]
	name := service.Spec.Ports[0].TargetPort.StrVal
	container := one[*appsv1.Deployment](t, all).Spec.Template.Spec.Containers[0]
	port := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if port < 0 || service.Spec.Ports[0].Port != 443 {
		t.Fatalf("port %+v of the Service leads nowhere", service.Spec.Ports[0])
	}
	for _, want := range []string{
		"--feed-service=" + service.Namespace + "/" + service.Name,
		fmt.Sprintf("--feed-port=%d", container.Ports[port].ContainerPort),
		"--feed-ca-file=/etc/bulkhead/tls/ca.crt",
	} {
		if !slices.Contains(container.Args, want) {
			t.Errorf("arguments %q lack %s", container.Args, want)
		}
	}
	ingress := one[*networkingv1.NetworkPolicy](t, all).Spec.Ingress[0].Ports
	if !slices.ContainsFunc(ingress, func(p networkingv1.NetworkPolicyPort) bool { return p.Port.StrVal == name }) {
		t.Errorf("the NetworkPolicy closes the feed: %+v", ingress)
	}
	if leaf := leafOf(t, all); !slices.Contains(leaf.Spec.DNSNames, "bulkhead-feed.bulkhead-system.svc") {
		t.Errorf("the certificate is for %q", leaf.Spec.DNSNames)
	}
	rights := rightsOf(t, all)
	for _, want := range []string{
		"create authentication.k8s.io/tokenreviews []", "create authorization.k8s.io/subjectaccessreviews []", "watch /services []", "watch /nodes []", "watch networking.k8s.io/servicecidrs []",
	} {
		if !slices.Contains(rights, want) {
			t.Errorf("no right %q in %q", want, rights)
		}
	}

	off := template(t, policy+"feed: {enabled: false}")
	for line := range strings.SplitSeq(off, "\n") {
		if code, _, _ := strings.Cut(line, "#"); strings.Contains(code, "feed") {
			t.Errorf("rendered without a feed: %s", line)
		}
	}
	all = objects(t, off)
	if len(pick[*corev1.Service](t, all)) != 1 || len(leafOf(t, all).Spec.DNSNames) != 1 {
		t.Error("rendered without a feed: its Service or its name")
	}
	for _, right := range rightsOf(t, all) {
		if strings.Contains(right, "reviews") || strings.Contains(right, "services") || strings.Contains(right, "servicecidrs") || strings.Contains(right, "nodes") {
			t.Errorf("right without a feed: %s", right)
		}
	}
}

func leafOf(t *testing.T, all []runtime.Object) *certmanagerv1.Certificate {
	t.Helper()
	certificates := pick[*certmanagerv1.Certificate](t, all)
	index := slices.IndexFunc(certificates, func(c *certmanagerv1.Certificate) bool { return !c.Spec.IsCA })
	if index < 0 {
		t.Fatal("no leaf certificate")
	}
	return certificates[index]
}

// rightsOf lists what roles grant, one verb on one resource each.
func rightsOf(t *testing.T, all []runtime.Object) []string {
	t.Helper()
	var rules []rbacv1.PolicyRule
	for _, role := range pick[*rbacv1.ClusterRole](t, all) {
		rules = append(rules, role.Rules...)
	}
	for _, role := range pick[*rbacv1.Role](t, all) {
		rules = append(rules, role.Rules...)
	}
	var rights []string
	for _, rule := range rules {
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					rights = append(rights, fmt.Sprintf("%s %s/%s %v", verb, group, resource, rule.ResourceNames))
				}
			}
		}
	}
	return rights
}
