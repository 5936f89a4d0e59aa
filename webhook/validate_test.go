package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	sidecarconfig "github.com/bulkhead-dev/bulkhead/sidecar/config"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// The attacker of the thesis' experiment 8, and its variant with capabilities.
const (
	experiment8 = `
containers:
- name: attacker
  securityContext: {privileged: true}
  volumeMounts: [{name: proc, mountPath: /host}]
volumes: [{name: proc, hostPath: {path: /proc}}]
`
	experiment8Capabilities = `
containers:
- name: attacker
  securityContext: {capabilities: {add: [SYS_ADMIN, net_admin, CAP_NET_RAW]}}
`
)

func TestValidateCreate(t *testing.T) {
	a := newTestAdmission(t)
	for name, test := range map[string]struct {
		namespace, spec string
		rules           []string // those at the enforced level
		denied          bool
		warned          string // part of the warnings
	}{
		"good pod":              {"alice", podShapes["smallest"], nil, false, `would violate PodSecurity "restricted:latest": pss-run-as-non-root: `},
		"experiment 8":          {"alice", experiment8, []string{"pss-host-path", "pss-privileged"}, true, ""},
		"with capabilities":     {"alice", experiment8Capabilities, []string{"fw-net-raw", "pss-capabilities"}, true, ""},
		"warn":                  {"warned", experiment8, []string{"pss-host-path", "pss-privileged"}, false, `not enforced: would violate PodSecurity "baseline:latest": pss-privileged: `},
		"warn, good pod":        {"warned", podShapes["smallest"], nil, false, `would violate PodSecurity "restricted:latest": `},
		"audit":                 {"audited", experiment8, []string{"pss-host-path", "pss-privileged"}, false, ""},
		"unassigned":            {"default", experiment8, []string{"pss-host-path", "pss-privileged"}, false, `not enforced: would violate PodSecurity "baseline:latest": pss-privileged: `},
		"unassigned, good pod":  {"default", podShapes["smallest"], nil, false, `would violate PodSecurity "restricted:latest": `},
		"unassigned, reserved":  {"default", `containers: [{name: bulkhead-init}]`, []string{"fw-reserved-name"}, true, ""},
		"exempt namespace":      {"kube-system", experiment8, nil, false, ""},
		"exempt runtime class":  {"alice", "runtimeClassName: kata\n" + strings.TrimSpace(experiment8), nil, false, ""},
		"windows":               {"alice", `{os: {name: windows}, containers: [{name: a}]}`, []string{"fw-net-raw", "fw-sidecar-genuine", "fw-windows"}, true, ""},
		"field of a newer API":  {"alice", `{future: true, containers: [{name: a, alsoNew: {}}]}`, []string{"pod-unknown-field"}, true, ""},
		"two claim the ns":      {"disputed", podShapes["smallest"], []string{"tenant-not-ready"}, true, ""},
		"restricted, good pod":  {"strict", podShapes["smallest"], []string{"pss-privilege-escalation", "pss-restricted-capabilities", "pss-run-as-non-root"}, true, ""},
		"restricted, its terms": {"strict", `{securityContext: {runAsNonRoot: true}, containers: [{name: a, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}`, nil, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podJSON(t, test.spec)
			if d := a.Mutate(t.Context(), newRequest(podCreate, test.namespace, pod, nil)); d.allowed {
				pod = mutated(t, a, test.namespace, pod)
			}
			d := a.Validate(t.Context(), newRequest(podCreate, test.namespace, pod, nil))
			if d.allowed == test.denied {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if diff := cmp.Diff(test.rules, d.rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
			if warnings := strings.Join(d.warnings, "\n"); !strings.Contains(warnings, test.warned) {
				t.Errorf("warnings lack %q: %s", test.warned, warnings)
			}
			for _, rule := range test.rules {
				if test.denied && !strings.Contains(d.message, rule+": ") {
					t.Errorf("message lacks %q: %s", rule, d.message)
				}
				if !strings.Contains(d.annotations["violations"], rule+": ") {
					t.Errorf("annotation lacks %q: %s", rule, d.annotations["violations"])
				}
			}
		})
	}
}

func TestValidateTrustsNothingOfMutation(t *testing.T) {
	a := newTestAdmission(t)
	genuine := mutated(t, a, "alice", podJSON(t, `{initContainers: [{name: x}], containers: [{name: a, readinessProbe: {tcpSocket: {port: 80}}}]}`))
	for name, test := range map[string]struct {
		operations string
		rule       string // "" : allowed
	}{
		"genuine":            {`[{op: add, path: /metadata/labels, value: {a: b}}]`, ""},
		"no sidecar":         {`[{op: replace, path: /spec/initContainers, value: []}]`, "fw-sidecar-genuine"},
		"only one half":      {`[{op: remove, path: /spec/initContainers/1}]`, "fw-sidecar-genuine"},
		"not in front":       {`[{op: move, from: /spec/initContainers/2, path: /spec/initContainers/0}]`, "fw-sidecar-genuine"},
		"another image":      {`[{op: replace, path: /spec/initContainers/0/image, value: evil}]`, "fw-sidecar-genuine"},
		"another command":    {`[{op: add, path: /spec/initContainers/1/command, value: [sleep]}]`, "fw-sidecar-genuine"},
		"more probes":        {`[{op: replace, path: /spec/containers/0/readinessProbe/tcpSocket/port, value: 81}]`, "fw-sidecar-genuine"},
		"no restart":         {`[{op: remove, path: /spec/initContainers/1/restartPolicy}]`, "fw-sidecar-genuine"},
		"a probe":            {`[{op: add, path: /spec/initContainers/1/livenessProbe, value: {exec: {command: [iptables, -F]}}}]`, "fw-sidecar-genuine"},
		"a postStart":        {`[{op: add, path: /spec/initContainers/1/lifecycle, value: {postStart: {exec: {command: [iptables, -F]}}}}]`, "fw-sidecar-genuine"},
		"a new field":        {`[{op: add, path: /spec/initContainers/1/future, value: true}]`, "fw-sidecar-genuine"},
		"one more":           {`[{op: copy, from: /spec/initContainers/1, path: /spec/initContainers/-}]`, "fw-reserved-name"},
		"NET_RAW kept":       {`[{op: remove, path: /spec/containers/0/securityContext/capabilities/drop}]`, "fw-net-raw"},
		"shared processes":   {`[{op: add, path: /spec/shareProcessNamespace, value: true}]`, "fw-share-process-namespace"},
		"the node's network": {`[{op: add, path: /spec/hostNetwork, value: true}]`, "pss-host-namespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			patch, err := jsonpatch.DecodePatch(toJSON(t, test.operations))
			if err != nil {
				t.Fatal(err)
			}
			pod, err := patch.Apply(genuine)
			if err != nil {
				t.Fatal(err)
			}
			d := a.Validate(t.Context(), newRequest(podCreate, "alice", pod, nil))
			if test.rule == "" && !d.allowed {
				t.Errorf("denied: %s", d.message)
			}
			if test.rule != "" && (d.allowed || !slices.Contains(d.rules, test.rule)) {
				t.Errorf("allowed %t, rules %q: %s", d.allowed, d.rules, d.message)
			}
		})
	}
}

func TestValidateUpdate(t *testing.T) {
	a := newTestAdmission(t)
	good := mutated(t, a, "alice", podJSON(t, podShapes["smallest"]))
	set := func(pod []byte, path, value string) []byte {
		changed, err := apply([]operation{{Op: "add", Path: path, Value: json.RawMessage(value)}}, pod)
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	// Older than the installation: every rule that is violated was violated before.
	old := podJSON(t, experiment8)
	// Injected when the configuration named another image.
	outdated := set(set(good, "/spec/initContainers/0/image", `"firewall:old"`), "/spec/initContainers/1/image", `"firewall:old"`)
	// What the kubelet writes when the firewall stands.
	good = set(good, "/status", firewallStands)
	debug := func(securityContext string) string {
		return `[{"name": "debug", "image": "b", "securityContext": ` + securityContext + `}]`
	}
	for name, test := range map[string]struct {
		route       route
		old, object []byte
		rules       []string
	}{
		"label of a good pod":       {podUpdate, good, set(good, "/metadata/labels", `{"a": "b"}`), nil},
		"label of an old pod":       {podUpdate, old, set(old, "/metadata/labels", `{"a": "b"}`), nil},
		"image of an old pod":       {podUpdate, old, set(old, "/spec/containers/0/image", `"c"`), nil},
		"image of a good pod":       {podUpdate, good, set(good, "/spec/containers/0/image", `"c"`), nil},
		"image of the sidecar":      {podUpdate, good, set(good, "/spec/initContainers/1/image", `"c"`), []string{"fw-sidecar-unchanged"}},
		"resize of the application": {podResize, good, set(good, "/spec/containers/0/resources", `{"limits": {"cpu": "1"}}`), nil},
		"resize of the sidecar":     {podResize, good, set(good, "/spec/initContainers/1/resources/limits/memory", `"1Mi"`), []string{"fw-sidecar-unchanged"}},
		"debug container":           {podEphemeral, good, set(good, "/spec/ephemeralContainers", debug(`{"capabilities": {"drop": ["NET_RAW"]}}`)), nil},
		"debug of an old pod":       {podEphemeral, old, set(old, "/spec/ephemeralContainers", debug(`{"capabilities": {"drop": ["NET_RAW"]}}`)), nil},
		"debug with NET_RAW":        {podEphemeral, good, set(good, "/spec/ephemeralContainers", debug(`{}`)), []string{"fw-net-raw"}},
		"debug --profile=netadmin": {podEphemeral, good, set(good, "/spec/ephemeralContainers",
			debug(`{"capabilities": {"add": ["NET_ADMIN"], "drop": ["NET_RAW"]}}`)), []string{"pss-capabilities"}},
		"privileged debug": {podEphemeral, old, set(old, "/spec/ephemeralContainers",
			debug(`{"privileged": true, "capabilities": {"drop": ["NET_RAW"]}}`)), []string{"pss-privileged"}},
		"debug of the sidecar": {podEphemeral, good, set(good, "/spec/ephemeralContainers",
			`[{"name": "debug", "targetContainerName": "bulkhead-firewall", "securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}]`),
			[]string{"fw-reserved-name"}},
		"annotation of an outdated pod": {podUpdate, outdated, set(outdated, "/metadata/annotations", `{"a": "b"}`), nil},
		"debug of an outdated pod": {podEphemeral, set(outdated, "/status", firewallStands), set(outdated, "/spec/ephemeralContainers",
			debug(`{"privileged": true, "capabilities": {"drop": ["NET_RAW"]}}`)), []string{"pss-privileged"}},
		"new field": {podUpdate, good, set(good, "/spec/future", `true`), []string{"pod-unknown-field"}},
		"field that was there": {podUpdate, set(good, "/spec/future", `true`),
			set(set(good, "/spec/future", `true`), "/spec/containers/0/image", `"c"`), nil},
		"annotation that makes it a mirror pod": {podUpdate, good,
			set(good, "/metadata/annotations", `{"kubernetes.io/config.mirror": "a"}`), []string{"fw-mirror-pod"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := a.Validate(t.Context(), newRequest(test.route, "alice", test.object, test.old))
			if d.allowed != (test.rules == nil) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if diff := cmp.Diff(test.rules, d.rules); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

const firewallStands = `{"initContainerStatuses": [
	{"name": "bulkhead-init", "state": {"terminated": {"exitCode": 0}}},
	{"name": "bulkhead-firewall", "started": true, "state": {"running": {}}}]}`

// TestValidateEphemeralContainers: the kubelet starts ephemeral containers without
// waiting for init containers, so that none may be added before the firewall stands
// (threats L16, L17).
func TestValidateEphemeralContainers(t *testing.T) {
	a := newTestAdmission(t)
	pod := mutated(t, a, "alice", podJSON(t, podShapes["smallest"]))
	for name, test := range map[string]struct {
		status string
		rules  []string
	}{
		"firewall stands":          {firewallStands, nil},
		"no status yet":            {`{}`, []string{"fw-ephemeral-container"}},
		"init waits for its image": {`{"initContainerStatuses": [{"name": "bulkhead-init", "state": {"waiting": {}}}]}`, []string{"fw-ephemeral-container"}},
		"init failed":              {strings.Replace(firewallStands, `"exitCode": 0`, `"exitCode": 1`, 1), []string{"fw-ephemeral-container"}},
		"firewall has not started": {strings.Replace(firewallStands, `"started": true`, `"started": false`, 1), []string{"fw-ephemeral-container"}},
	} {
		t.Run(name, func(t *testing.T) {
			old, err := apply([]operation{{Op: "add", Path: "/status", Value: json.RawMessage(test.status)}}, pod)
			if err != nil {
				t.Fatal(err)
			}
			debugged, err := apply([]operation{
				{Op: "add", Path: "/spec/ephemeralContainers", Value: json.RawMessage(`[{"name": "debug", "image": "b"}]`)},
				// The update may claim what it likes.
				{Op: "add", Path: "/status", Value: json.RawMessage(firewallStands)},
			}, old)
			if err != nil {
				t.Fatal(err)
			}
			mutation := a.Mutate(t.Context(), newRequest(podEphemeral, "alice", debugged, old))
			if debugged, err = apply(mutation.patch, debugged); err != nil {
				t.Fatal(err)
			}
			d := a.Validate(t.Context(), newRequest(podEphemeral, "alice", debugged, old))
			if diff := cmp.Diff(test.rules, d.rules); diff != "" || d.allowed != (test.rules == nil) {
				t.Errorf("allowed %t: %s; rules (-want +got):\n%s", d.allowed, d.message, diff)
			}
		})
	}
}

// TestValidateLargePod: what is too large is refused, and hides nothing from an
// update.
func TestValidateLargePod(t *testing.T) {
	a := newTestAdmission(t)
	filled := func(pod []byte, size int) []byte {
		value, err := json.Marshal(map[string]string{"filler": strings.Repeat("x", size)})
		if err != nil {
			t.Fatal(err)
		}
		larger, err := apply([]operation{{Op: "add", Path: "/metadata/annotations", Value: json.RawMessage(value)}}, pod)
		if err != nil {
			t.Fatal(err)
		}
		return larger
	}
	good := mutated(t, a, "alice", podJSON(t, podShapes["smallest"]))
	if d := a.Validate(t.Context(), newRequest(podCreate, "alice", filled(good, maxPod/2), nil)); !d.allowed {
		t.Errorf("half of the limit: %s", d.message)
	}
	large := filled(good, maxPod)
	// Whether something was injected into it, which takes longer the larger it is, shows
	// where that must fail.
	failing := newTestAdmissionWithFeed(t, func() (*sidecarconfig.Feed, error) { return nil, errors.New("no address") }, withTemplates(configv1alpha1.WorkloadTemplatesWarn))
	template := workloadJSON(t, "deployments", "containers: [{name: "+strings.Repeat("x", maxPod)+"}]")
	for name, test := range map[string]struct {
		decision
		allowed bool
	}{
		"mutate":           {a.Mutate(t.Context(), newRequest(podCreate, "alice", large, nil)), false},
		"create":           {a.Validate(t.Context(), newRequest(podCreate, "alice", large, nil)), false},
		"update":           {a.Validate(t.Context(), newRequest(podUpdate, "alice", filled(good, maxPod+1), large)), false},
		"mutate ephemeral": {a.Mutate(t.Context(), newRequest(podEphemeral, "alice", filled(good, maxPod+1), large)), false},
		"warned":           {failing.Validate(t.Context(), newRequest(podCreate, "warned", large, nil)), true},
		"template":         {failing.Validate(t.Context(), workloadRequest(t, "deployments", "alice", template, nil)), true},
	} {
		if d := test.decision; d.allowed != test.allowed || !cmp.Equal(d.rules, []string{"pod-too-large"}) {
			t.Errorf("%s: allowed %t, rules %q: %s", name, d.allowed, d.rules, d.message)
		}
	}
}

func TestValidateConnect(t *testing.T) {
	a := newTestAdmission(t)
	for name, test := range map[string]struct {
		route     route
		namespace string
		container string
		allowed   bool
	}{
		"exec":                  {podExec, "alice", "a", true},
		"exec, no container":    {podExec, "alice", "", true},
		"exec into the sidecar": {podExec, "alice", "bulkhead-firewall", false},
		"attach to the sidecar": {podAttach, "alice", "bulkhead-firewall", false},
		"exec into the init":    {podExec, "alice", "bulkhead-init", false},
		"attach":                {podAttach, "alice", "a", true},
		"exempt":                {podExec, "kube-system", "bulkhead-firewall", true},
		"warn":                  {podExec, "warned", "bulkhead-firewall", true},
	} {
		t.Run(name, func(t *testing.T) {
			request := newRequest(test.route, test.namespace, nil, nil)
			request.Object.Raw = fmt.Appendf(nil, `{"apiVersion": "v1", "kind": %q, "container": %q, "command": ["sh"]}`, request.Kind.Kind, test.container)
			d := a.Validate(t.Context(), request)
			if d.allowed != test.allowed {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
			if !test.allowed && !strings.Contains(d.message, "fw-sidecar-exec: ") {
				t.Errorf("message: %s", d.message)
			}
		})
	}
}

// A pod must be able to lose a finalizer whatever is wrong, and it costs no live read.
func TestUpdateOfNothingThatRulesJudge(t *testing.T) {
	a := newTestAdmission(t)
	a.tenants, a.engine = failing{}, always(failing{})
	before := podJSON(t, experiment8)
	after, err := apply([]operation{
		{Op: "add", Path: "/metadata/labels", Value: map[string]string{"a": "b"}},
		{Op: "add", Path: "/status", Value: map[string]string{"phase": "Running"}},
	}, before)
	if err != nil {
		t.Fatal(err)
	}
	for _, decide := range []decideFunc{a.Mutate, a.Validate} {
		if d := decide(t.Context(), newRequest(podUpdate, "disputed", after, before)); !d.allowed {
			t.Errorf("denied: %s", d.message)
		}
	}
	annotated, err := apply([]operation{{Op: "add", Path: "/metadata/annotations", Value: map[string]string{"a": "b"}}}, before)
	if err != nil {
		t.Fatal(err)
	}
	if d := a.Validate(t.Context(), newRequest(podUpdate, "disputed", annotated, before)); d.allowed {
		t.Error("an annotation, which rules read, passed unseen")
	}
}

func TestValidateBinding(t *testing.T) {
	a := newTestAdmission(t)
	for name, test := range map[string]struct {
		route     route
		namespace string
		metadata  string
		allowed   bool
		warned    bool
	}{
		"the scheduler's":       {podBinding, "alice", `{name: a}`, true, false},
		"labels of the node's":  {podBinding, "alice", `{name: a, labels: {topology.kubernetes.io/zone: z}}`, true, false},
		"annotations":           {podBinding, "alice", `{name: a, annotations: {container.apparmor.security.beta.kubernetes.io/app: unconfined}}`, false, false},
		"annotations, old way":  {binding, "alice", `{name: a, annotations: {k8s.v1.cni.cncf.io/networks: x}}`, false, false},
		"annotations, exempt":   {podBinding, "kube-system", `{name: a, annotations: {a: b}}`, true, false},
		"annotations, unowned":  {podBinding, "nobody", `{name: a, annotations: {a: b}}`, true, true},
		"annotations of no map": {podBinding, "alice", `{name: a, annotations: [a]}`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			request := newRequest(test.route, test.namespace, toJSON(t, "{apiVersion: v1, kind: Binding, metadata: "+test.metadata+", target: {name: node}}"), nil)
			d := a.Validate(t.Context(), request)
			if d.allowed != test.allowed || (len(d.warnings) > 0) != test.warned {
				t.Errorf("allowed %t, warnings %q: %s", d.allowed, d.warnings, d.message)
			}
		})
	}
}

func TestExemptUser(t *testing.T) {
	request := newRequest(podCreate, "alice", podJSON(t, experiment8), nil)
	request.UserInfo.Username = "system:serviceaccount:ops:builder"
	if d := newTestAdmission(t).Validate(t.Context(), request); !d.allowed || d.annotations["exempt"] != "user" {
		t.Errorf("allowed %t, annotations %v", d.allowed, d.annotations)
	}
}

func TestUnassigned(t *testing.T) {
	const reservedName = `containers: [{name: bulkhead-firewall, securityContext: {privileged: true}, future: true}]`
	for mode, test := range map[configv1alpha1.UnassignedMode]struct {
		privileged, reserved bool // denied
		warned               bool
	}{
		configv1alpha1.UnassignedIgnore:  {false, true, false},
		configv1alpha1.UnassignedWarn:    {false, true, true},
		configv1alpha1.UnassignedEnforce: {true, true, false},
		"unheard of":                     {true, true, false},
	} {
		t.Run(string(mode), func(t *testing.T) {
			a := newTestAdmission(t, func(c *configv1alpha1.BulkheadConfiguration) { c.Unassigned = mode })
			d := a.Validate(t.Context(), newRequest(podCreate, "default", podJSON(t, experiment8), nil))
			if d.allowed == test.privileged || (len(d.warnings) > 0) != test.warned {
				t.Errorf("privileged pod: allowed %t: %s, warnings %q", d.allowed, d.message, d.warnings)
			}
			d = a.Validate(t.Context(), newRequest(podCreate, "default", podJSON(t, reservedName), nil))
			if d.allowed == test.reserved {
				t.Errorf("reserved name: allowed %t: %s", d.allowed, d.message)
			}
		})
	}
}

// failing stands for whatever cannot answer.
type failing struct{}

var errBroken = errors.New("broken")

func (failing) Canonical(in rego.Input) rego.Input { return in }

func (failing) Evaluate(context.Context, rego.Input) (rego.Result, error) {
	return rego.Result{}, errBroken
}
func (failing) Owner(context.Context, string) (*tenants.Tenant, error) { return nil, errBroken }
func (failing) Problems(*v1alpha1.Tenant) []tenants.Problem            { return nil }

func TestFailuresDeny(t *testing.T) {
	pod := podJSON(t, podShapes["smallest"])
	good := newTestAdmission(t)
	noTenants, noEngine := newTestAdmission(t), newTestAdmission(t)
	noTenants.tenants, noEngine.engine = failing{}, always(failing{})
	injected := mutated(t, good, "alice", pod)
	expired, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx       context.Context
		admission *Admission
		decide    func(*Admission) decideFunc
		route     route
		namespace string
	}{
		"tenants unknown, mutate":   {t.Context(), noTenants, mutate, podCreate, "alice"},
		"tenants unknown, validate": {t.Context(), noTenants, validate, podCreate, "alice"},
		"rules fail":                {t.Context(), noEngine, validate, podCreate, "alice"},
		"rules fail in warn":        {t.Context(), noEngine, validate, podCreate, "warned"},
		"rules fail on exec":        {t.Context(), noEngine, validate, podExec, "alice"},
		"rules fail, unassigned":    {t.Context(), noEngine, validate, podCreate, "default"},
		"deadline before the rules": {expired, good, validate, podCreate, "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			d := test.decide(test.admission)(test.ctx, newRequest(test.route, test.namespace, injected, nil))
			if d.allowed || d.outcome != outcomeError || d.code != http.StatusInternalServerError || d.message == "" {
				t.Errorf("decision %+v", d)
			}
		})
	}
}

func mutate(a *Admission) decideFunc   { return a.Mutate }
func validate(a *Admission) decideFunc { return a.Validate }

func TestUnknownRequestsAreDenied(t *testing.T) {
	a := newTestAdmission(t)
	pod := podJSON(t, podShapes["smallest"])
	for name, test := range map[string]struct {
		decide  decideFunc
		route   route
		object  []byte
		old     []byte
		message string
	}{
		"delete":                {a.Validate, route{"", "v1", "pods", "", "DELETE"}, pod, nil, "does not know"},
		"services":              {a.Mutate, route{"", "v1", "services", "", "CREATE"}, pod, nil, "does not know"},
		"configmaps":            {a.Validate, route{"", "v1", "configmaps", "", "CREATE"}, pod, nil, "does not know"},
		"status":                {a.Validate, route{"", "v1", "pods", "status", "UPDATE"}, pod, pod, "does not know"},
		"another group's pods":  {a.Validate, route{"metrics.k8s.io", "v1", "pods", "", "CREATE"}, pod, nil, "does not know"},
		"another version":       {a.Validate, route{"", "v2", "pods", "", "CREATE"}, pod, nil, "does not know"},
		"mutate exec":           {a.Mutate, podExec, pod, nil, "does not know"},
		"mutate tenant":         {a.Mutate, tenantCreate, pod, nil, "does not know"},
		"no object":             {a.Validate, podCreate, nil, nil, "no pod"},
		"no old object":         {a.Validate, podUpdate, pod, nil, "oldObject"},
		"no options":            {a.Validate, podExec, nil, nil, "no PodExecOptions"},
		"not a pod":             {a.Validate, podCreate, []byte(`{"apiVersion": "v1", "kind": "Node"}`), nil, `kind "Node"`},
		"no spec":               {a.Validate, podCreate, []byte(`{"apiVersion": "v1", "kind": "Pod"}`), nil, "spec is missing"},
		"no spec, mutate":       {a.Mutate, podCreate, []byte(`{"apiVersion": "v1", "kind": "Pod", "spec": null}`), nil, "spec is missing"},
		"wrong type":            {a.Validate, podCreate, podJSON(t, `containers: yes`), nil, "containers"},
		"a list":                {a.Validate, podCreate, []byte(`[]`), nil, "decode pod"},
		"doubled field":         {a.Validate, podCreate, []byte(`{"apiVersion": "v1", "kind": "Pod", "spec": {"hostPID": true, "hostPID": false}}`), nil, "duplicate field"},
		"doubled field, mutate": {a.Mutate, podCreate, []byte(`{"apiVersion": "v1", "kind": "Pod", "spec": {"hostPID": true, "hostPID": false}}`), nil, "duplicate field"},
		"many unknown fields":   {a.Validate, podCreate, manyUnknownFields(), nil, "100 or more"},
	} {
		t.Run(name, func(t *testing.T) {
			d := test.decide(t.Context(), newRequest(test.route, "alice", test.object, test.old))
			if d.allowed || !strings.Contains(d.message, test.message) {
				t.Errorf("allowed %t: %s", d.allowed, d.message)
			}
		})
	}
	t.Run("no namespace", func(t *testing.T) {
		if d := a.Validate(t.Context(), newRequest(podCreate, "", pod, nil)); d.allowed || !strings.Contains(d.message, "without a namespace") {
			t.Errorf("allowed %t: %s", d.allowed, d.message)
		}
	})
	t.Run("another kind", func(t *testing.T) {
		request := newRequest(podCreate, "alice", pod, nil)
		request.Kind.Kind = "Node"
		if d := a.Validate(t.Context(), request); d.allowed || !strings.Contains(d.message, "instead of") {
			t.Errorf("allowed %t: %s", d.allowed, d.message)
		}
	})
}

// manyUnknownFields would hide one in the spec behind a hundred others.
func manyUnknownFields() []byte {
	var b strings.Builder
	b.WriteString(`{"apiVersion": "v1", "kind": "Pod", `)
	for i := range 100 {
		fmt.Fprintf(&b, `"a%d": 1, `, i)
	}
	b.WriteString(`"spec": {"future": true, "containers": [{"name": "a"}]}}`)
	return []byte(b.String())
}
