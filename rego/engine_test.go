package rego

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

func typical(t testing.TB) Input {
	raw, err := os.ReadFile("testdata/pod.json")
	if err != nil {
		t.Fatal(err)
	}
	var pod struct {
		Spec struct{ InitContainers []json.RawMessage }
	}
	if err := json.Unmarshal(raw, &pod); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		t.Fatal(err)
	}
	raw = compact.Bytes()
	return Input{
		Request: Request{Operation: Create, Resource: "pods", Namespace: "alice", User: User{Name: "system:serviceaccount:kube-system:replicaset-controller", Groups: []string{"system:serviceaccounts", "system:authenticated"}}},
		Object:  raw, Level: Baseline, Sidecar: &Sidecar{pod.Spec.InitContainers[0], pod.Spec.InitContainers[1]},
	}
}

func BenchmarkEvaluate(b *testing.B) {
	engine, err := New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	in := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := engine.Evaluate(b.Context(), in); err != nil || len(r.Violations) > 0 {
			b.Fatal(r, err)
		}
	}
}
func BenchmarkDocument(b *testing.B) {
	in := typical(b)
	engine, _ := New(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := in.document(engine.shape, ast.NullTerm()); err != nil {
			b.Fatal(err)
		}
	}
}
func BenchmarkDecode(b *testing.B) {
	in := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		var x any
		json.Unmarshal(in.Object, &x)
	}
}
