package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"reflect"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
)

const tenantsConfig = `
apiVersion: config.bulkhead.dev/v1alpha1
kind: BulkheadConfiguration
unassigned: ignore
podSecurity: {namespaceLabels: honour}
cluster:
  podCIDRs: [10.244.0.0/16]
  serviceCIDRs: [10.96.0.0/16]
  nodeCIDRs: [192.168.0.0/24]
  tenantCIDRs: [172.16.0.0/16]
sidecar: {image: registry.local/bulkhead/firewall:dev}
`

const owners = `
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: alice}
spec:
  namespaces: [baseline--latest]
  addressing: {mode: cidr, cidrs: [172.16.1.0/24]}
---
apiVersion: bulkhead.dev/v1alpha1
kind: Tenant
metadata: {name: bob}
spec:
  namespaces: [restricted--latest]
  addressing: {mode: cidr, cidrs: [172.16.2.0/24]}
  enforcement: warn
`

// plain has no canonical form: what it decides follows from the pod as it came.
type plain struct{ *rego.Engine }

func (plain) Canonical(in rego.Input) rego.Input { return in }

// TestRemembered holds what is remembered of one pod against what is decided afresh on
// another of the same workload: the whole answer, with warnings and audit annotations.
func TestRemembered(t *testing.T) {
	count := max(*podCount/10, 1)
	t.Logf("%d pods from -seed %d -first %d", count, *seedValue, *firstPod)
	klog.LogToStderr(false) // denials
	klog.SetOutput(io.Discard)
	t.Cleanup(func() { klog.LogToStderr(true) })
	d := newDeciders(t)
	remembering, registry := newHandler(t, tenantsConfig, owners, d.engine, 8<<20)
	fresh, _ := newHandler(t, tenantsConfig, owners, plain{d.engine}, 0)
	denied := 0
	for i := range count {
		g := &generator{Rand: rand.New(rand.NewPCG(*seedValue, *firstPod+i))}
		namespace := pick(g, "baseline--latest", "restricted--v1.25", "restricted--latest", "baseline--v1.0")
		pod := g.pod()
		again := g.IntN(2) == 0
		for replica := range 2 {
			object := sent(t, remembering, namespace, g.replica(pod), again)
			want := review(t, fresh, podKind, "pods", namespace, object)
			if got := review(t, remembering, podKind, "pods", namespace, object); !reflect.DeepEqual(got, want) {
				data, err := json.Marshal(object)
				t.Fatalf("replica %d: got %+v, want %+v of %s (%v)\nagain by: -seed %d -first %d -pods 1", replica, got, want, data, err, *seedValue, *firstPod+i)
			}
			if !want.Allowed {
				denied++
			}
		}
	}
	hits, misses := lookups(t, registry)
	t.Logf("%d hits, %d misses, %d of %d denied", hits, misses, denied, 2*count)
	if count >= 100 && (hits < int(count)*8/10 || denied == 0 || denied == int(2*count)) {
		t.Error("too few of them tell anything")
	}
}

var podKind = metav1.GroupVersionKind{Version: "v1", Kind: "Pod"}

// replica is another pod of the same template, as the API server sends it.
func (g *generator) replica(pod map[string]any) map[string]any {
	random := g.letters()
	token := "kube-api-access-" + random
	metadata := maps.Clone(pod["metadata"].(map[string]any))
	metadata["name"] = "web-" + random
	metadata["generateName"] = "web-"
	metadata["uid"] = fmt.Sprintf("%x", g.Uint64())
	metadata["creationTimestamp"] = fmt.Sprintf("2026-11-22T00:00:%02dZ", g.IntN(60))
	metadata["labels"] = map[string]any{"app": "web"}
	spec := maps.Clone(pod["spec"].(map[string]any))
	volumes, _ := spec["volumes"].([]any)
	spec["volumes"] = append([]any{map[string]any{"name": token, "projected": map[string]any{"sources": []any{}}}}, volumes...)
	for _, kind := range []string{"initContainers", "containers"} {
		list, _ := spec[kind].([]any)
		mounting := make([]any, len(list))
		for i, element := range list {
			container := maps.Clone(element.(map[string]any))
			container["volumeMounts"] = []any{tokenMount(token)}
			mounting[i] = container
		}
		if list != nil {
			spec[kind] = mounting
		}
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
}

// letters are five as the API server draws them.
func (g *generator) letters() string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	random := make([]byte, 5)
	for i := range random {
		random[i] = letters[g.IntN(len(letters))]
	}
	return string(random)
}

// tokenMount is what the ServiceAccount plugin adds to a container.
func tokenMount(volume string) any {
	return map[string]any{
		"name": volume, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
	}
}

// sent is the pod after mutation, as validation sees it: the ServiceAccount plugin may
// have run again after the webhook, for the sidecar's containers too (threat L15).
func sent(t *testing.T, handler http.Handler, namespace string, pod map[string]any, again bool) any {
	t.Helper()
	answer := post(t, handler, webhook.MutatePath, podKind, "pods", namespace, pod)
	if answer.Patch == nil || *answer.PatchType != admissionv1.PatchTypeJSONPatch {
		return pod
	}
	patch, err := jsonpatch.DecodePatch(answer.Patch)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(data)
	if err != nil {
		t.Fatal(err)
	}
	var stored map[string]any
	if err := json.Unmarshal(patched, &stored); err != nil {
		t.Fatal(err)
	}
	spec := stored["spec"].(map[string]any)
	volume := spec["volumes"].([]any)[0].(map[string]any)["name"].(string)
	containers, _ := spec["initContainers"].([]any)
	for _, element := range containers[:min(2, len(containers))] {
		if container := element.(map[string]any); again && container["volumeMounts"] == nil {
			container["volumeMounts"] = []any{tokenMount(volume)}
		}
	}
	return stored
}

// lookups are the counts of bulkhead_admission_remembered_decisions_total.
func lookups(t *testing.T, registry metrics.KubeRegistry) (hits, misses int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "bulkhead_admission_remembered_decisions_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			count := int(metric.GetCounter().GetValue())
			if metric.GetLabel()[0].GetValue() == "hit" {
				hits = count
			} else {
				misses = count
			}
		}
	}
	return hits, misses
}
