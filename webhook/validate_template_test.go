package webhook

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
)

// workloads are the kinds with a pod template, and where it stands in their YAML.
var workloads = map[string]string{
	"podtemplates":           "apiVersion: v1\nkind: PodTemplate\nmetadata: {name: w}\ntemplate:",
	"replicationcontrollers": "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: w}\nspec:\n  template:",
	"deployments":            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: w}\nspec:\n  template:",
	"replicasets":            "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: w}\nspec:\n  template:",
	"statefulsets":           "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: w}\nspec:\n  template:",
	"daemonsets":             "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: w}\nspec:\n  template:",
	"jobs":                   "apiVersion: batch/v1\nkind: Job\nmetadata: {name: w}\nspec:\n  template:",
	"cronjobs":               "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: w}\nspec:\n  jobTemplate:\n    spec:\n      template:",
}

// workloadJSON is a workload whose template has the spec, given in flow style.
func workloadJSON(t testing.TB, resource, spec string) []byte {
	t.Helper()
	return toJSON(t, workloads[resource]+" {metadata: {labels: {a: b}}, spec: {"+spec+"}}\n")
}

func workloadRequest(t testing.TB, resource, namespace string, object, old []byte) *admissionv1.AdmissionRequest {
	t.Helper()
	for kind := range kinds {
		if kind.resource != resource {
			continue
		}
		operation := admissionv1.Create
		if old != nil {
			operation = admissionv1.Update
		}
		request := newRequest(route{kind.group, kind.version, resource, "", operation}, namespace, object, old)
		request.Kind = kind.groupVersionKind()
		return request
	}
	t.Fatalf("unknown resource %s", resource)
	return nil
}

func withTemplates(mode configv1alpha1.WorkloadTemplates) func(*configv1alpha1.BulkheadConfiguration) {
	return func(c *configv1alpha1.BulkheadConfiguration) { c.WorkloadTemplates = mode }
}

func TestTemplatesOfEveryKind(t *testing.T) {
	const bad = `initContainers: [{name: one, image: b}, {name: two, image: b, securityContext: {privileged: true}}], containers: [{name: a, image: b}]`
	for resource, text := range workloads {
		t.Run(resource, func(t *testing.T) {
			prefix := "spec.template."
			switch resource {
			case "podtemplates":
				prefix = "template."
			case "cronjobs":
				prefix = "spec.jobTemplate.spec.template."
			}
			want := `pss-privileged: container "two": ` + prefix + `spec.initContainers[1].securityContext.privileged is true`
			for namespace, effect := range map[string]string{"alice": "this workload's pods will be refused", "default": "not enforced"} {
				d := newTestAdmission(t).Validate(t.Context(), workloadRequest(t, resource, namespace, workloadJSON(t, resource, bad), nil))
				if got := strings.Join(d.warnings, "\n"); !d.allowed || !strings.Contains(got, effect+`: would violate PodSecurity "baseline:latest": `+want) {
					t.Errorf("%s: allowed %t (%s), warnings %s", namespace, d.allowed, d.message, got)
				}
			}
			enforced := newTestAdmission(t, withTemplates(configv1alpha1.WorkloadTemplatesEnforce))
			d := enforced.Validate(t.Context(), workloadRequest(t, resource, "alice", workloadJSON(t, resource, bad), nil))
			if d.allowed || !strings.Contains(d.message, `violates PodSecurity "baseline:latest": `+want) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if d := enforced.Validate(t.Context(), workloadRequest(t, resource, "alice", workloadJSON(t, resource, podFlow), nil)); !d.allowed {
				t.Errorf("a good one is denied: %s", d.message)
			}
			// A workload without a template, as a ReplicationController may be.
			if d := enforced.Validate(t.Context(), workloadRequest(t, resource, "alice", toJSON(t, text+" null\n"), nil)); !d.allowed {
				t.Errorf("without a template: %s", d.message)
			}
		})
	}
}

const podFlow = `containers: [{name: a, image: b}]`

func TestTemplates(t *testing.T) {
	const (
		privileged = `containers: [{name: a, image: b, securityContext: {privileged: true}}]`
		reserved   = `containers: [{name: bulkhead-firewall, image: b}]`
		exempt     = `runtimeClassName: kata, ` + privileged
	)
	for name, test := range map[string]struct {
		mode      configv1alpha1.WorkloadTemplates
		namespace string
		object    string
		old       string
		denied    string
		warned    string
	}{
		"ignored":               {"ignore", "alice", privileged, "", "", ""},
		"good":                  {"warn", "alice", podFlow, "", "", `would violate PodSecurity "restricted:latest": pss-run-as-non-root: container "a": spec.template.spec.containers[0].`},
		"reserved name":         {"warn", "alice", reserved, "", "", "this workload's pods will be refused: fw-reserved-name: "},
		"reserved, enforce":     {"enforce", "alice", reserved, "", "fw-reserved-name: ", ""},
		"reserved, unassigned":  {"warn", "default", reserved, "", "", "this workload's pods will be refused: fw-reserved-name: "},
		"shared processes":      {"enforce", "alice", `shareProcessNamespace: true, ` + podFlow, "", "fw-share-process-namespace: spec.template.spec.shareProcessNamespace is true", ""},
		"exempt runtime class":  {"enforce", "alice", exempt, "", "", ""},
		"exempt namespace":      {"enforce", "kube-system", privileged, "", "", ""},
		"a tenant that warns":   {"enforce", "warned", privileged, "", "", "not enforced: "},
		"warns, of a warning":   {"warn", "warned", privileged, "", "", "not enforced: "},
		"a tenant that audits":  {"enforce", "audited", privileged, "", "", "would violate"},
		"a tenant not ready":    {"warn", "disputed", podFlow, "", "", "this workload's pods will be refused: tenant-not-ready: "},
		"not ready, enforce":    {"enforce", "disputed", podFlow, "", "tenant-not-ready: ", ""},
		"unknown field":         {"enforce", "alice", `future: true, ` + podFlow, "", "pod-unknown-field: spec.template.spec.future is not a field", ""},
		"the same template":     {"enforce", "alice", privileged, privileged, "", ""},
		"same, not ready":       {"enforce", "disputed", podFlow, podFlow, "", ""},
		"old violation":         {"enforce", "alice", strings.Replace(privileged, "image: b", "image: c", 1), privileged, "", ""},
		"new violation":         {"enforce", "alice", privileged, podFlow, "pss-privileged: ", ""},
		"a violation goes":      {"enforce", "alice", podFlow, privileged, "", ""},
		"its pods need nothing": {"enforce", "strict", `securityContext: {runAsNonRoot: true}, containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]`, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmission(t, withTemplates(test.mode))
			var old []byte
			if test.old != "" {
				old = workloadJSON(t, "deployments", test.old)
			}
			d := a.Validate(t.Context(), workloadRequest(t, "deployments", test.namespace, workloadJSON(t, "deployments", test.object), old))
			if d.allowed != (test.denied == "") || !strings.Contains(d.message, test.denied) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if got := strings.Join(d.warnings, "\n"); !strings.Contains(got, test.warned) {
				t.Errorf("warnings %q", got)
			}
		})
	}
}

// TestTemplateIsToldWhatItsNamespaceRefuses: whoever writes the workload learns it.
func TestTemplateIsToldWhatItsNamespaceRefuses(t *testing.T) {
	a := newTestAdmission(t)
	a.namespaces = testNamespaces{"alice": {labels: map[string]string{enforceLabel: "baseline"}}}
	d := a.Validate(t.Context(), workloadRequest(t, "jobs", "alice", workloadJSON(t, "jobs", podFlow), nil))
	if got := strings.Join(d.warnings, "\n"); !d.allowed || !strings.Contains(got, "namespace-label: namespace alice has the label") {
		t.Errorf("allowed %t, warnings %q", d.allowed, got)
	}
}

func TestTemplatesThatCannotBeJudgedAreDenied(t *testing.T) {
	broken := newTestAdmission(t)
	broken.engine = always(failing{})
	unknown := newTestAdmission(t)
	unknown.tenants = failing{}
	good := newTestAdmission(t)
	for name, test := range map[string]struct {
		admission *Admission
		object    []byte
		want      string
	}{
		"rules fail":      {broken, workloadJSON(t, "jobs", podFlow), "broken"},
		"tenants unknown": {unknown, workloadJSON(t, "jobs", podFlow), "broken"},
		"no object":       {good, nil, "no workload"},
		"no JSON":         {good, []byte(`{`), "decode workload"},
		"another type":    {good, []byte(`{"spec": {"template": []}}`), "decode pod template"},
		"doubled spec":    {good, []byte(`{"spec": {"template": {"spec": {}, "spec": {}}}}`), "duplicate field"},
		"doubled outside": {good, []byte(`{"spec": {}, "spec": {}}`), "duplicate field"},
		"no spec":         {good, []byte(`{"spec": {"template": {}}}`), "spec is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			d := test.admission.Validate(t.Context(), workloadRequest(t, "jobs", "alice", test.object, nil))
			if d.allowed || d.outcome != outcomeError || !strings.Contains(d.message, test.want) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	a := newTestAdmission(t)
	check := func(namespace, text string) string {
		t.Helper()
		found, err := a.Check(t.Context(), Object{JSON: toJSON(t, text), Namespace: namespace})
		if err != nil {
			return "error: " + err.Error()
		}
		var lines []string
		for _, f := range found {
			lines = append(lines, fmt.Sprintf("%s %s %s %s", f.Enforcement, f.Standard, f.ID, f.Field))
		}
		return strings.Join(lines, "\n")
	}
	for name, test := range map[string]struct{ namespace, object, want string }{
		"a good pod":        {"strict", "{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {securityContext: {runAsNonRoot: true}, containers: [{name: a, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}}", ""},
		"a bad pod":         {"alice", "{apiVersion: v1, kind: Pod, spec: {hostNetwork: true, containers: [{name: a}]}}", "enforce baseline:latest pss-host-namespaces spec.hostNetwork"},
		"a reserved name":   {"alice", "{apiVersion: v1, kind: Pod, spec: {containers: [{name: bulkhead-init}]}}", "enforce  fw-reserved-name spec.containers[0].name"},
		"a deployment":      {"alice", "{apiVersion: apps/v1, kind: Deployment, spec: {template: {spec: {hostNetwork: true, containers: [{name: a}]}}}}", "warn baseline:latest pss-host-namespaces spec.template.spec.hostNetwork"},
		"a tenant":          {"", "{apiVersion: bulkhead.dev/v1alpha1, kind: Tenant, metadata: {name: new}, spec: {namespaces: [alice], addressing: {mode: cidr, cidrs: [172.16.9.0/24]}}}", "enforce  tenant-invalid spec.namespaces[0]"},
		"not ours":          {"alice", "{apiVersion: v1, kind: ConfigMap}", "error: objects of this kind are not judged"},
		"another version":   {"alice", "{apiVersion: apps/v1beta1, kind: Deployment}", "error: objects of this kind are not judged"},
		"cannot be decoded": {"alice", "{apiVersion: v1, kind: Pod, spec: {containers: true}}", "decode pod: "},
	} {
		t.Run(name, func(t *testing.T) {
			if got := check(test.namespace, test.object); !strings.Contains(got, test.want) || test.want == "" && got != "" {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
		})
	}
	broken := newTestAdmission(t)
	broken.engine = always(failing{})
	if _, err := broken.Check(t.Context(), Object{JSON: podJSON(t, podShapes["smallest"]), Namespace: "alice"}); err == nil || errors.Is(err, ErrNotJudged) {
		t.Errorf("rules fail: %v", err)
	}
}
