package rego

import (
	"encoding/json"
	"testing"
)

func TestEvaluate(t *testing.T) {
	engine, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Request: Request{Operation: Create}, Level: Baseline, Object: json.RawMessage(`{"spec":{"containers":[{"name":"a","securityContext":{"privileged":true}}]}}`)}
	r, err := engine.Evaluate(t.Context(), in)
	t.Log(r, err)
	for _, c := range []string{`{"spec":{"containers":"x"}}`, `{"spec":{"containers":["x"]}}`, `{"spec":"x"}`, `{}`, `null`, `{"spec":{"containers":[{"securityContext":"x"}]}}`, `{"spec":{"containers":{"x":{}}}}`, `{"spec":null}`} {
		in.Object = json.RawMessage(c)
		r, err := engine.Evaluate(t.Context(), in)
		t.Log(c, r, err)
	}
}

func BenchmarkEvaluate(b *testing.B) {
	engine, err := New(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	in := Input{Request: Request{Operation: Create}, Level: Baseline, Object: json.RawMessage(`{"spec":{"containers":[{"name":"a","securityContext":{"privileged":false}}]}}`)}
	for b.Loop() {
		if _, err := engine.Evaluate(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}
