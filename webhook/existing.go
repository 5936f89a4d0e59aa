package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// Existing pods are checked as far as Kubernetes' own plugin does
// (k8s.io/pod-security-admission/admission/admission.go, EvaluatePodsInNamespace).
const (
	maxExisting      = 3000
	existingPatience = time.Second
)

// Pods knows what runs.
type Pods interface {
	// Each calls visit with the pods of a namespace until it returns false.
	Each(ctx context.Context, namespace string, visit func(*corev1.Pod) bool) error
}

// raised tells whether pods may violate the one standard that did not the other.
func raised(before, after v1alpha1.Standard) bool {
	if before == after || after.Level == v1alpha1.Privileged {
		return false
	}
	return before.Version != after.Version || v1alpha1.Stricter(before, after) != before
}

// warnOfExisting names the pods of a namespace, whose labels change, that violate what is
// enforced from then on. They go on running. Beside an error is what was found before.
func (a *Admission) warnOfExisting(ctx context.Context, request *admissionv1.AdmissionRequest, namespace string, before, labels standards) ([]string, error) {
	tenant, err := a.tenants.Owner(ctx, namespace)
	if err != nil {
		return nil, err
	}
	was, err := a.termsWith(tenant, before)
	if err != nil {
		return nil, err
	}
	t, err := a.termsWith(tenant, labels)
	if err != nil || !raised(was.standards.enforce, t.standards.enforce) {
		return nil, err
	}
	select {
	case a.checking <- struct{}{}:
		defer func() { <-a.checking }()
	default: // who may label a namespace could have it checked without end (threat A1)
		return []string{"existing pods are not checked against the new PodSecurity enforce level: others are just now"}, nil
	}
	limited, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	in := a.question(request, t)
	in.Request = rego.Request{Operation: rego.Create, Resource: podCreate.resource, Namespace: namespace}
	in.Warn, in.Audit = rego.Level{}, rego.Level{}
	e := &existing{admission: a, in: in, terms: t, known: map[digest]string{}, found: map[string][]string{}}
	err = a.running.Each(limited, namespace, func(pod *corev1.Pod) bool { return e.look(limited, pod) })
	err = errors.Join(err, e.err)
	e.more = e.more || err != nil
	return e.warnings(namespace), err
}

// existing is what is found out about the pods of a namespace.
type existing struct {
	admission *Admission
	in        rego.Input
	terms     terms
	known     map[digest]string   // violated rules by the pod's form
	found     map[string][]string // pods by the rules that they violate
	checked   int
	more      bool // were not checked
	err       error
}

// look checks a pod, unless there were too many before it or the time is over.
func (e *existing) look(ctx context.Context, pod *corev1.Pod) bool {
	if e.checked == maxExisting || ctx.Err() != nil {
		e.more = true
		return false
	}
	violated, err := e.violated(ctx, pod)
	if err != nil {
		e.err = fmt.Errorf("pod %s: %w", pod.Name, err)
		return false
	}
	e.checked++
	if violated != "" {
		e.found[violated] = append(e.found[violated], pod.Name)
	}
	return true
}

// violated are the rules of the Pod Security Standards that the pod violates.
func (e *existing) violated(ctx context.Context, pod *corev1.Pod) (string, error) {
	if _, ok := e.admission.exemptsPod(pod); ok {
		return "", nil
	}
	pod.APIVersion, pod.Kind = podKind.Version, podKind.Kind
	raw, err := json.Marshal(pod)
	if err != nil {
		return "", err
	}
	in := e.in
	in.Object = raw
	in = e.admission.engine().Canonical(in)
	key, err := keyOf(in, e.terms, nil)
	if err != nil {
		return "", err
	}
	if rules, known := e.known[key]; known {
		return rules, nil
	}
	object, err := decodePod(in.Object)
	if err != nil {
		return "", err
	}
	found, err := e.admission.askPod(ctx, in, object, nil, e.terms)
	if err != nil {
		return "", err
	}
	var rules []string
	for _, v := range found.Violations {
		if isPodSecurity(v) && !slices.Contains(rules, v.ID) {
			rules = append(rules, v.ID)
		}
	}
	e.known[key] = strings.Join(rules, ", ")
	return e.known[key], nil
}

// warnings says it in the words of Kubernetes' own plugin.
func (e *existing) warnings(namespace string) []string {
	var warnings []string
	for rules, pods := range e.found {
		first := slices.Min(pods)
		switch others := len(pods) - 1; others {
		case 0:
			warnings = append(warnings, fmt.Sprintf("%s: %s", first, rules))
		case 1:
			warnings = append(warnings, fmt.Sprintf("%s (and 1 other pod): %s", first, rules))
		default:
			warnings = append(warnings, fmt.Sprintf("%s (and %d other pods): %s", first, others, rules))
		}
	}
	slices.Sort(warnings)
	standard := e.terms.standards.enforce
	if len(warnings) > 0 {
		warnings = slices.Insert(warnings, 0, fmt.Sprintf("existing pods in namespace %q violate the new PodSecurity enforce level %q", namespace, standard))
	}
	if e.more {
		warnings = slices.Insert(warnings, 0, fmt.Sprintf("new PodSecurity enforce level only checked against the first %d existing pods", e.checked))
	}
	return warnings
}
