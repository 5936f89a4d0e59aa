package rego

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/rego"
)

func BenchmarkEval(b *testing.B) {
	engine, _ := New(b.Context())
	in := small(b)
	run := func(name string, rules ...Rule) {
		var terms []*ast.Term
		for _, r := range rules {
			terms = append(terms, ast.ArrayTerm(ast.StringTerm(r.Category), ast.StringTerm(r.Name)))
		}
		doc, err := in.document(engine.shape, ast.ArrayTerm(terms...))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := engine.query.Eval(b.Context(), opa.EvalParsedInput(doc)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("none")
	all := engine.selections[in.selector()].rules
	for _, r := range all {
		run(r.ID, r)
	}
	run("all", all...)
}

func BenchmarkStatic(b *testing.B) {
	engine, _ := New(b.Context())
	in := small(b)
	all := engine.selections[in.selector()].rules
	parsed, _ := load(files)
	q := "x = ["
	for i, r := range all {
		if i > 0 {
			q += ","
		}
		q += "data.rules." + r.Category + "." + r.Name + ".violations"
	}
	q += "]"
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
	compiler.Compile(parsed)
	doc, _ := in.document(engine.shape, ast.ArrayTerm())
	for _, partial := range []bool{false, true} {
		opts := []opa.PrepareOption{}
		if partial {
			opts = append(opts, opa.WithPartialEval())
		}
		query, err := opa.New(opa.Query(q), opa.Compiler(compiler), opa.StrictBuiltinErrors(true)).PrepareForEval(b.Context(), opts...)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(map[bool]string{false: "plain", true: "partial"}[partial], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := query.Eval(b.Context(), opa.EvalParsedInput(doc)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func small(b testing.TB) Input {
	return Input{Request: Request{Operation: Create}, Level: Baseline, Object: []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"base"},"spec":{"containers":[{"image":"registry.k8s.io/pause","name":"container1","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}],"initContainers":[{"image":"registry.k8s.io/pause","name":"initcontainer1","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}],"os":{"name":"linux"},"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}}}}`)}
}

func BenchmarkSmall(b *testing.B) {
	engine, _ := New(b.Context())
	in := small(b)
	b.Run("document", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			in.document(engine.shape, ast.NullTerm())
		}
	})
	b.Run("evaluate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			engine.Evaluate(b.Context(), in)
		}
	})
}
