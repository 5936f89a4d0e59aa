package rego

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestEvaluate(t *testing.T) {
	engine := newTestEngine(t, files)
	result, err := engine.Evaluate(t.Context(), tenantInput(t))
	if err != nil || len(result.Violations) > 0 {
		t.Fatalf("a good pod: %v, %v", result.Violations, err)
	}
	if result.Rules == 0 {
		t.Error("no rule ran")
	}

	// All that is wrong is reported, sorted, whatever the order in the pod.
	result, err = engine.Evaluate(t.Context(), podInput(`{
		"metadata": {"generateName": "x-"},
		"spec": {
			"hostPID": true, "hostNetwork": true,
			"containers": [
				{"name": "b", "securityContext": {"privileged": true}},
				{"name": "a", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}
			],
			"ephemeralContainers": [{"name": "bulkhead-init"}]
		}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, violation := range result.Violations {
		texts = append(texts, violation.String())
	}
	want := []string{
		`fw-reserved-name: container "bulkhead-init": spec.ephemeralContainers[0].name is reserved for Bulkhead's firewall; use another name`,
		`pss-capabilities: container "a": spec.containers[1].securityContext.capabilities.add[0] is "SYS_ADMIN", none of the allowed capabilities; remove it`,
		`pss-host-namespaces: spec.hostNetwork is true: host namespaces must not be shared; set it to false or leave it out`,
		`pss-host-namespaces: spec.hostPID is true: host namespaces must not be shared; set it to false or leave it out`,
		`pss-privileged: container "b": spec.containers[0].securityContext.privileged is true; set it to false or leave it out`,
	}
	if !slices.Equal(texts, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(texts, "\n"), strings.Join(want, "\n"))
	}
	wantLast := Violation{
		ID:        "pss-privileged",
		Container: "b",
		Field:     "spec.containers[0].securityContext.privileged",
		Message:   `container "b": spec.containers[0].securityContext.privileged is true`,
		Remedy:    "set it to false or leave it out",
		Severity:  "critical",
		Threat:    "D1",
	}
	if last := result.Violations[len(result.Violations)-1]; last != wantLast {
		t.Errorf("got %#v, want %#v", last, wantLast)
	}
}

// TestSidecarIsLeftOut changes one thing of the sidecar after the other: what is not
// genuine is judged like any container, and refused.
func TestSidecarIsLeftOut(t *testing.T) {
	engine := newTestEngine(t, files)
	for name, change := range map[string][2]string{
		"image":         {`"image":"registry.local/bulkhead/firewall:dev","args":["run"]`, `"image":"busybox","args":["run"]`},
		"configuration": {`172.16.1.0/24`, `172.16.0.0/16`},
		"name":          {`"name":"bulkhead-firewall"`, `"name":"bulkhead"`},
		"null":          {`"initContainers":[{`, `"initContainers":[{"command":null,"tty":true,`},
	} {
		t.Run(name, func(t *testing.T) {
			in := tenantInput(t)
			in.Object = json.RawMessage(strings.Replace(string(in.Object), change[0], change[1], 1))
			result, err := engine.Evaluate(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, violation := range result.Violations {
				ids = append(ids, violation.ID)
			}
			for _, id := range []string{"fw-sidecar-genuine", "fw-net-raw", "pss-restricted-capabilities"} {
				if !slices.Contains(ids, id) {
					t.Errorf("violations of %q, want %s among them", ids, id)
				}
			}
		})
	}
}

func TestEvaluateConcurrently(t *testing.T) {
	engine := newTestEngine(t, files)
	good, bad := tenantInput(t), tenantInput(t)
	bad.Object = json.RawMessage(strings.ReplaceAll(string(bad.Object), `"ALL"`, `"CHOWN"`))
	refused, err := engine.Evaluate(t.Context(), bad)
	if err != nil || len(refused.Violations) == 0 {
		t.Fatalf("%v, %v", refused, err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 20 {
				in, want := good, []Violation(nil)
				if i%2 == 0 {
					in, want = bad, refused.Violations
				}
				if got, err := engine.Evaluate(t.Context(), in); err != nil || !slices.Equal(got.Violations, want) {
					t.Errorf("got %v, %v, want %v", got.Violations, err, want)
				}
			}
		})
	}
	group.Wait()
}

func TestEvaluateHonoursContext(t *testing.T) {
	engine := newTestEngine(t, filesWithRule(t, `
violations contains numbers.range(1, 100)[i] if {
	some i in numbers.range(1, 100000)
	some j in numbers.range(1, 100000)
	i * j == -1
}
`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := engine.Evaluate(ctx, podInput(`{"spec":{}}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled before: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := engine.Evaluate(ctx, podInput(`{"spec":{}}`)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("canceled meanwhile: %v", err)
	}
}

func TestRules(t *testing.T) {
	engine := newTestEngine(t, files)
	rules := engine.Rules()
	if !slices.IsSortedFunc(rules, func(a, b Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("rules are not sorted by id")
	}
	i := slices.IndexFunc(rules, func(rule Rule) bool { return rule.ID == "pss-restricted-seccomp" })
	if i < 0 {
		t.Fatal("no pss-restricted-seccomp")
	}
	got := rules[i]
	got.Description, got.Related, got.Avoid, got.Prefer = "", nil, "", ""
	want := Rule{
		ID:         "pss-restricted-seccomp",
		Category:   "pod_security",
		Name:       "restricted_seccomp",
		Title:      "Seccomp profiles, restricted",
		Severity:   "medium",
		Threats:    []string{"D6", "P11"},
		Level:      Restricted,
		Since:      "v1.19",
		Overrides:  []string{"pss-seccomp"},
		Resources:  []string{pods},
		Operations: []string{Create, Update},
		file:       "rules/pod_security/restricted_seccomp/restricted_seccomp.rego",
		since:      19,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %#v, want %#v", got, want)
	}
	rules[0].ID = "changed"
	if engine.Rules()[0].ID == "changed" {
		t.Error("the caller can change the engine's rules")
	}
}

func BenchmarkEvaluate(b *testing.B) {
	engine := newTestEngine(b, files)
	for name, in := range map[string]Input{
		"tenant":  tenantInput(b),
		"minimal": podInput(`{"metadata":{"name":"base"},"spec":{"containers":[{"image":"registry.k8s.io/pause","name":"container1"}]}}`),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if result, err := engine.Evaluate(b.Context(), in); err != nil || len(result.Violations) > 0 {
					b.Fatal(result.Violations, err)
				}
			}
		})
	}
}
