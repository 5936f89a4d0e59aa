package charts

import (
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/cel/environment"
)

// conditions matches as the API server does with the webhook's matchConditions.
func conditions(t *testing.T, webhook string) matchconditions.Matcher {
	t.Helper()
	var accessors []cel.ExpressionAccessor
	for _, hook := range one[*admissionv1.ValidatingWebhookConfiguration](t, objects(t, template(t, ""))).Webhooks {
		if hook.Name == webhook {
			for _, condition := range hook.MatchConditions {
				accessors = append(accessors, (*matchconditions.MatchCondition)(&condition))
			}
		}
	}
	if len(accessors) == 0 {
		t.Fatal("no condition")
	}
	compiler := cel.NewConditionCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	return matchconditions.NewMatcher(compiler.CompileCondition(accessors, cel.OptionalVariableDeclarations{HasAuthorizer: true}, environment.StoredExpressions),
		new(admissionv1.Fail), "webhook", "validating", "bulkhead-webhook")
}

// TestUpdatesThatWaitForNoWebhook: the API server asks about an update of a pod only
// if it changes what rules read; labels and finalizers change while no webhook runs.
func TestUpdatesThatWaitForNoWebhook(t *testing.T) {
	matcher := conditions(t, "validate.bulkhead.dev")
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := readPod(t, "{containers: [{name: a, resources: {limits: {memory: 1Gi}}}]}")
		change(p)
		return p
	}
	unchanged := pod(func(*corev1.Pod) {})
	for name, test := range map[string]struct {
		operation admission.Operation
		resource  string
		object    *corev1.Pod
		asked     bool
	}{
		"creation":         {admission.Create, "pods", unchanged, true},
		"nothing":          {admission.Update, "pods", unchanged, false},
		"label":            {admission.Update, "pods", pod(func(p *corev1.Pod) { p.Labels = map[string]string{"a": "b"} }), false},
		"finalizer":        {admission.Update, "pods", pod(func(p *corev1.Pod) { p.Finalizers = []string{"a/b"} }), false},
		"owner":            {admission.Update, "pods", pod(func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Name: "a"}} }), false},
		"annotation":       {admission.Update, "pods", pod(func(p *corev1.Pod) { p.Annotations = map[string]string{"a": "b"} }), true},
		"image":            {admission.Update, "pods", pod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "b" }), true},
		"toleration":       {admission.Update, "pods", pod(func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "a"}} }), true},
		"other resources'": {admission.Update, "services", unchanged, true},
	} {
		t.Run(name, func(t *testing.T) {
			var old runtime.Object
			if test.operation == admission.Update {
				old = unchanged
			}
			attributes := admission.NewAttributesRecord(test.object, old, test.object.GroupVersionKind(), "alice", "pod",
				corev1.SchemeGroupVersion.WithResource(test.resource), "", test.operation, nil, false, &user.DefaultInfo{})
			versioned, err := admission.NewVersionedAttributes(attributes, test.object.GroupVersionKind(), nil)
			if err != nil {
				t.Fatal(err)
			}
			result := matcher.Match(t.Context(), versioned, nil, authorizerfactory.NewAlwaysAllowAuthorizer())
			if result.Error != nil || result.Matches != test.asked {
				t.Errorf("asked: %t, %v", result.Matches, result.Error)
			}
		})
	}
}

// TestStatusThatWaitsForNoWebhook: the cluster's own controllers give load balancers
// their addresses while no webhook runs; anybody else is asked about, and about nothing
// but addresses.
func TestStatusThatWaitsForNoWebhook(t *testing.T) {
	matcher := conditions(t, "services.validate.bulkhead.dev")
	service := func(ip string) *corev1.Service {
		s := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}}
		if ip != "" {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: ip}}
		}
		return s
	}
	for name, test := range map[string]struct {
		subresource, user string
		object, old       *corev1.Service
		asked             bool
	}{
		"an address":            {"status", "mallory", service("10.0.0.1"), service(""), true},
		"another address":       {"status", "mallory", service("10.0.0.1"), service("10.0.0.2"), true},
		"none any more":         {"status", "mallory", service(""), service("10.0.0.2"), true},
		"the same":              {"status", "mallory", service("10.0.0.1"), service("10.0.0.1"), false},
		"service controller":    {"status", "system:serviceaccount:kube-system:service-controller", service("10.0.0.1"), service(""), false},
		"cloud controller":      {"status", "system:cloud-controller-manager", service("10.0.0.1"), service(""), false},
		"one of another name":   {"status", "system:serviceaccount:kube-system-2:service-controller", service("10.0.0.1"), service(""), true},
		"cluster's, the object": {"", "system:serviceaccount:kube-system:service-controller", service("10.0.0.1"), service(""), true},
	} {
		t.Run(name, func(t *testing.T) {
			attributes := admission.NewAttributesRecord(test.object, test.old, test.object.GroupVersionKind(), "alice", "s",
				corev1.SchemeGroupVersion.WithResource("services"), test.subresource, admission.Update, nil, false, &user.DefaultInfo{Name: test.user})
			versioned, err := admission.NewVersionedAttributes(attributes, test.object.GroupVersionKind(), nil)
			if err != nil {
				t.Fatal(err)
			}
			result := matcher.Match(t.Context(), versioned, nil, authorizerfactory.NewAlwaysAllowAuthorizer())
			if result.Error != nil || result.Matches != test.asked {
				t.Errorf("asked: %t, %v", result.Matches, result.Error)
			}
		})
	}
}
