package webhook

import (
	"errors"
	"strings"
	"testing"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
)

func TestLabelled(t *testing.T) {
	for name, test := range map[string]struct {
		labels               map[string]string
		enforce, warn, audit string
		errs                 int
	}{
		"none":    {nil, "privileged:latest", "privileged:latest", "privileged:latest", 0},
		"all":     {map[string]string{enforceLabel: "baseline", enforceVersionLabel: "v1.25", warnLabel: "restricted", warnVersionLabel: "v1.26", auditLabel: "restricted", auditVersionLabel: "latest"}, "baseline:v1.25", "restricted:v1.26", "restricted:latest", 0},
		"enforce": {map[string]string{enforceLabel: "restricted", enforceVersionLabel: "v1.0"}, "restricted:v1.0", "restricted:v1.0", "privileged:latest", 0},
		"warn's version": {map[string]string{enforceLabel: "baseline", enforceVersionLabel: "v1.0", warnVersionLabel: "v1.9"},
			"baseline:v1.0", "baseline:v1.9", "privileged:latest", 0},
		"warn less":     {map[string]string{enforceLabel: "baseline", warnLabel: "privileged"}, "baseline:latest", "privileged:latest", "privileged:latest", 0},
		"another level": {map[string]string{enforceLabel: "Baseline"}, "restricted:latest", "privileged:latest", "privileged:latest", 1},
		"no levels":     {map[string]string{enforceLabel: "", warnLabel: "x", auditLabel: "y"}, "restricted:latest", "privileged:latest", "privileged:latest", 3},
		"another version": {map[string]string{enforceLabel: "baseline", enforceVersionLabel: "1.25"},
			"baseline:latest", "privileged:latest", "privileged:latest", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s, errs := labelled(test.labels)
			if s.enforce.String() != test.enforce || s.warn.String() != test.warn || s.audit.String() != test.audit || len(errs) != test.errs {
				t.Errorf("enforce %s, warn %s, audit %s, errors %v", s.enforce, s.warn, s.audit, errs)
			}
		})
	}
}

// hostPort is refused at baseline, probeHost since v1.34 of it, and the smallest pod at
// restricted.
const (
	hostPort  = `containers: [{name: a, image: b, ports: [{containerPort: 80, hostPort: 80}]}]`
	probeHost = `containers: [{name: a, image: b, livenessProbe: {tcpSocket: {port: 80, host: 10.0.0.1}}}]`
)

func TestNamespaceLabels(t *testing.T) {
	honour := func(mode configv1alpha1.UnassignedMode) func(*configv1alpha1.BulkheadConfiguration) {
		return func(c *configv1alpha1.BulkheadConfiguration) {
			c.PodSecurity.NamespaceLabels, c.Unassigned = configv1alpha1.NamespaceLabelsHonour, mode
		}
	}
	restricted := map[string]string{enforceLabel: "restricted"}
	baseline := map[string]string{enforceLabel: "baseline"}
	for name, test := range map[string]struct {
		change    func(*configv1alpha1.BulkheadConfiguration)
		namespace string
		labels    map[string]string
		spec      string
		denied    string // part of the message
		warned    string // part of the warnings
	}{
		"ignored":                          {func(*configv1alpha1.BulkheadConfiguration) {}, "alice", restricted, podShapes["smallest"], "", ""},
		"stricter than the tenant":         {honour("warn"), "alice", restricted, podShapes["smallest"], `violates PodSecurity "restricted:latest": `, ""},
		"looser than the tenant":           {honour("warn"), "alice", map[string]string{enforceLabel: "privileged"}, hostPort, `violates PodSecurity "baseline:latest": `, ""},
		"an older version of a level":      {honour("warn"), "alice", map[string]string{enforceLabel: "restricted", enforceVersionLabel: "v1.0"}, probeHost, "pss-probe-hosts: ", ""},
		"unreadable":                       {honour("ignore"), "default", map[string]string{enforceLabel: "baselin"}, podShapes["smallest"], `violates PodSecurity "restricted:latest": `, ""},
		"unassigned, ignore":               {honour("ignore"), "default", baseline, hostPort, `violates PodSecurity "baseline:latest": pss-host-ports: `, ""},
		"unassigned, ignore, by version":   {honour("ignore"), "default", map[string]string{enforceLabel: "baseline", enforceVersionLabel: "v1.33"}, probeHost, "", ""},
		"unassigned, ignore, warn":         {honour("ignore"), "default", map[string]string{warnLabel: "restricted", warnVersionLabel: "v1.24"}, podShapes["smallest"], "", `would violate PodSecurity "restricted:v1.24": `},
		"unassigned, ignore, no labels":    {honour("ignore"), "default", nil, experiment8, "", ""},
		"unassigned, warn, no labels":      {honour("warn"), "default", nil, hostPort, "", `not enforced: would violate PodSecurity "baseline:latest": `},
		"unassigned, warn":                 {honour("warn"), "default", baseline, hostPort, `violates PodSecurity "baseline:latest": `, ""},
		"unassigned, warn, an old version": {honour("warn"), "default", map[string]string{enforceLabel: "baseline", enforceVersionLabel: "v1.0"}, probeHost, "", `would violate PodSecurity "restricted:latest": pss-probe-hosts: `},
		"unassigned, enforce":              {honour("enforce"), "default", restricted, podShapes["smallest"], `violates PodSecurity "restricted:latest": `, ""},
		"of an enforcement that warns":     {honour("warn"), "warned", restricted, podShapes["smallest"], "", `not enforced: would violate PodSecurity "restricted:latest": `},
	} {
		t.Run(name, func(t *testing.T) {
			a := newTestAdmission(t, test.change)
			a.namespaces = testNamespaces{test.namespace: {labels: test.labels}}
			pod := mutated(t, a, test.namespace, podJSON(t, test.spec))
			d := a.Validate(t.Context(), newRequest(podCreate, test.namespace, pod, nil))
			if d.allowed != (test.denied == "") || !strings.Contains(d.message, test.denied) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if !strings.Contains(strings.Join(d.warnings, "\n"), test.warned) {
				t.Errorf("warnings %q lack %q", d.warnings, test.warned)
			}
			if name == "unreadable" && !strings.HasPrefix(d.annotations["error"], "Failed to parse policy: ") {
				t.Errorf("annotations %v", d.annotations)
			}
		})
	}
	t.Run("not known", func(t *testing.T) {
		a := newTestAdmission(t, honour("ignore"))
		a.namespaces = testNamespaces{"default": {err: errors.New("no such namespace")}}
		if d := a.Validate(t.Context(), newRequest(podCreate, "default", podJSON(t, podShapes["smallest"]), nil)); d.allowed || d.outcome != outcomeError {
			t.Errorf("allowed %t: %s", d.allowed, d.message)
		}
	})
}

// TestStandardsOfTenants: versions and the three levels of a Tenant.
func TestStandardsOfTenants(t *testing.T) {
	a := newTestAdmission(t)
	owner := a.mustOwner(t, "alice")
	owner.Spec.PodSecurity = v1alpha1.PodSecurity{
		Enforce: v1alpha1.Baseline, EnforceVersion: "v1.33", Warn: v1alpha1.Baseline, WarnVersion: "v1.34", Audit: v1alpha1.Restricted, AuditVersion: "latest",
	}
	d := a.Validate(t.Context(), newRequest(podCreate, "alice", mutated(t, a, "alice", podJSON(t, probeHost)), nil))
	if !d.allowed {
		t.Fatalf("denied: %s", d.message)
	}
	if got := strings.Join(d.warnings, "\n"); !strings.HasPrefix(got, `would violate PodSecurity "baseline:v1.34": pss-probe-hosts: `) || len(d.warnings) != 1 {
		t.Errorf("warnings %q", got)
	}
	if got := d.annotations["audit-violations"]; !strings.HasPrefix(got, `would violate PodSecurity "restricted:latest": `) {
		t.Errorf("audit-violations %q", got)
	}
	if got := d.annotations["enforce-policy"]; got != "baseline:v1.33" {
		t.Errorf("enforce-policy %q", got)
	}
}
