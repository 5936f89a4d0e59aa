package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	psa "k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	kjson "sigs.k8s.io/json"

	"github.com/bulkhead-dev/bulkhead/rego"
)

// reasons are what PSA says of a control that is violated, by our rule's id. What the
// restricted level checks again has one reason for both.
var reasons = map[string]string{
	"pss-app-armor":               "forbidden AppArmor profile",
	"pss-capabilities":            "non-default capabilities",
	"pss-host-namespaces":         "host namespaces",
	"pss-host-path":               "hostPath volumes",
	"pss-host-ports":              "hostPort",
	"pss-host-process":            "hostProcess",
	"pss-privilege-escalation":    "allowPrivilegeEscalation != false",
	"pss-privileged":              "privileged",
	"pss-probe-hosts":             "probe or lifecycle host",
	"pss-proc-mount":              "procMount",
	"pss-restricted-capabilities": "unrestricted capabilities",
	"pss-restricted-proc-mount":   "procMount",
	"pss-restricted-seccomp":      "seccompProfile",
	"pss-run-as-non-root":         "runAsNonRoot != true",
	"pss-run-as-user":             "runAsUser=0",
	"pss-seccomp":                 "seccompProfile",
	"pss-selinux":                 "seLinuxOptions",
	"pss-sysctls":                 "forbidden sysctls",
	"pss-volume-types":            "restricted volume types",
}

// deciders are the two that must agree.
type deciders struct {
	psa    policy.Evaluator
	engine *rego.Engine
}

func newDeciders(t testing.TB) deciders {
	t.Helper()
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := rego.New(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return deciders{evaluator, compiled}
}

// theirs are the reasons for which PSA refuses the pod at that level.
func (d deciders) theirs(pod *corev1.Pod, level rego.Level) ([]string, error) {
	name, err := psa.ParseLevel(level.Name)
	if err != nil {
		return nil, err
	}
	version, err := psa.ParseVersion(level.Version)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, result := range d.psa.EvaluatePod(psa.LevelVersion{Level: name, Version: version}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			found[strings.Replace(result.ForbiddenReason, "profiles", "profile", 1)] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// ours are the same of our violations.
func ours(violations []rego.Violation) ([]string, error) {
	found := map[string]bool{}
	for _, violation := range violations {
		reason, known := reasons[violation.ID]
		if !known {
			return nil, fmt.Errorf("no reason of PSA's for %s", violation.ID)
		}
		found[reason] = true
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// question is a pod, and three levels to ask about it at once.
type question struct {
	pod    map[string]any
	levels [3]rego.Level
}

// disagreement says at which level the two differ; empty where they do not.
func (d deciders) disagreement(t testing.TB, q question) (difference string, answers [3][]string) {
	data, err := json.Marshal(q.pod)
	if err != nil {
		t.Fatal(err)
	}
	var pod corev1.Pod
	if err := kjson.UnmarshalCaseSensitivePreserveInts(data, &pod); err != nil {
		return "", answers // the API server refuses it by itself
	}
	in := rego.Input{
		Request: rego.Request{Operation: rego.Create, Resource: "pods"},
		Object:  data,
		Enforce: q.levels[0],
		Warn:    q.levels[1],
		Audit:   q.levels[2],
	}
	result, err := d.engine.Evaluate(t.Context(), in)
	if err != nil {
		return fmt.Sprintf("ours errs: %v", err), answers
	}
	if again, err := d.engine.Evaluate(t.Context(), d.engine.Canonical(in)); err != nil || !reflect.DeepEqual(again, result) {
		return fmt.Sprintf("ours %v, of the canonical form %v, %v", result, again, err), answers
	}
	for i, violations := range [3][]rego.Violation{result.Violations, result.Warnings, result.Audit} {
		theirs, err := d.theirs(&pod, q.levels[i])
		if err != nil {
			t.Fatal(err)
		}
		answers[i] = theirs
		ours, err := ours(violations)
		if err != nil {
			return err.Error(), answers
		}
		if !slices.Equal(ours, theirs) {
			return fmt.Sprintf("%s:%s: ours %q, theirs %q", q.levels[i].Name, q.levels[i].Version, ours, theirs), answers
		}
	}
	return "", answers
}

// versions are all that there are, and some that are yet to come.
func versions() []string {
	all := []string{rego.Latest}
	for minor := range 42 {
		all = append(all, fmt.Sprintf("v1.%d", minor))
	}
	return all
}
