package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// customRule refuses images that are not the house's.
const customRule = `# METADATA
# title: Registry of images
# description: Images come from the house's own registry.
# custom:
#   id: custom-registry
#   severity: high
#   avoid: "{kind: Pod, spec: {containers: [{name: a, image: b}]}}"
#   prefer: "{kind: Pod, spec: {containers: [{name: a, image: house/b}]}}"
package bulkhead.custom.registry

import data.lib.pod
import data.lib.report

violations contains report.violation(container, "image", "is not the house's", "use another") if {
	some container in pod.containers
	not startswith(input.whole.spec[container.kind][container.index].image, "house/")
}
`

// TestCustomRules runs the program with a rule of an administrator's, and with a
// broken one beside it later; the decision log tells of both reviews.
func TestCustomRules(t *testing.T) {
	rules := t.TempDir()
	writeRule := func(name, source string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(rules, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeRule("registry.rego", customRule)
	log := filepath.Join(t.TempDir(), "decisions.json")
	p := startStandalone(t, "--custom-rules", rules, "--decision-log", log)
	review := func() string {
		t.Helper()
		answer, err := client.Post(p.url+"/validate", "application/json", strings.NewReader(`{
			"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
				"uid": "1", "operation": "CREATE", "namespace": "alice", "userInfo": {"username": "mallory"},
				"kind": {"version": "v1", "kind": "Pod"}, "resource": {"version": "v1", "resource": "pods"},
				"object": {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "evil/b"}]}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	const want = `custom-registry: container \"a\": spec.containers[0].image is not the house's; use another`
	if got := review(); !strings.Contains(got, want) {
		t.Errorf("answer %s", got)
	}
	writeRule("broken.rego", "package bulkhead.custom.broken\n}")
	deadline := time.Now().Add(time.Minute)
	for {
		if _, metrics := get(t, p.url+"/metrics"); strings.Contains(metrics, "bulkhead_custom_rules_refused 1\n") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broken rule is not refused:\n%s", p.log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got := review(); !strings.Contains(got, want) {
		t.Errorf("beside a broken rule: %s", got)
	}
	if code, body := get(t, p.url+"/readyz"); code != http.StatusOK {
		t.Errorf("not ready: %s", body)
	}
	p.stop(t)
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(lines), `"decision":"deny","rules":["custom-registry",`); got != 2 {
		t.Errorf("%d reviews in the decision log: %s", got, lines)
	}
}
