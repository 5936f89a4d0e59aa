package rego

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/metrics"
	opa "github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// entrypoint is main/main.rego's rule.
const entrypoint = "data.main.ran"

// Engine holds the compiled rules. It is safe for concurrent use.
type Engine struct {
	rules      []Rule
	selections *selections
	shape      *shape
	pod        *place // what is canonical in it
	query      opa.PreparedEvalQuery
}

// New compiles the embedded rules, and the custom rules whose sources it is given by
// file name, if any. The error lists all that is wrong with them.
func New(ctx context.Context, custom map[string]string) (*Engine, error) {
	return newEngine(ctx, files, custom)
}

// newEngine compiles the rules of a file system laid out as this package's folder, and
// custom ones.
func newEngine(ctx context.Context, files fs.FS, sources map[string]string) (*Engine, error) {
	modules, err := load(files)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	customs, err := loadCustom(sources)
	if err != nil {
		return nil, fmt.Errorf("load custom rules: %w", err)
	}
	maps.Copy(modules, customs)
	rules, err := readRules(modules)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	schema, err := fs.ReadFile(files, schemaFile)
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	shape, err := parseShape(schema)
	if err != nil {
		return nil, fmt.Errorf("load schema: %w", err)
	}
	compiler, err := compile(modules, schema)
	if err != nil {
		return nil, fmt.Errorf("compile rules: %w", err)
	}
	query, err := opa.New(
		opa.Query(entrypoint),
		opa.Compiler(compiler),
		// A built-in that fails is otherwise undefined, and its rule silently
		// denies nothing (A4).
		opa.StrictBuiltinErrors(true),
	).PrepareForEval(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare query: %w", err)
	}
	refs := inputRefs(compiler)
	shape.prune(refs)
	return &Engine{
		rules:      rules,
		selections: &selections{rules: rules},
		shape:      shape,
		pod:        podPlaces().unread(below(refs, "whole")),
		query:      query,
	}, nil
}

// Rules returns all rules, sorted by id.
func (e *Engine) Rules() []Rule {
	return slices.Clone(e.rules)
}

// Evaluate asks the rules that count for the input. On an error nothing is known
// about the object, and the caller must deny.
func (e *Engine) Evaluate(ctx context.Context, in Input) (Result, error) {
	result, err := e.evaluate(ctx, in)
	if err != nil {
		return Result{}, fmt.Errorf("evaluate rules: %w", err)
	}
	return result, nil
}

func (e *Engine) evaluate(ctx context.Context, in Input) (Result, error) {
	chosen, standards, err := e.selections.of(in)
	if err != nil {
		return Result{}, err
	}
	document, err := in.document(e.shape, chosen.term)
	if err != nil {
		return Result{}, fmt.Errorf("input: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	// The query's own way to watch the context costs a goroutine for each.
	cancel := topdown.NewCancel()
	stop := context.AfterFunc(ctx, cancel.Cancel)
	defer stop()
	answer, err := e.query.Eval(ctx,
		opa.EvalParsedInput(document),
		opa.EvalExternalCancel(cancel),
		opa.EvalMetrics(metrics.NoOp()),
	)
	if err != nil {
		return Result{}, errors.Join(context.Cause(ctx), chosen.blame(err))
	}
	if len(answer) != 1 || len(answer[0].Expressions) != 1 {
		return Result{}, errors.New("the entry point is undefined")
	}
	return chosen.result(answer[0].Expressions[0].Value, standards)
}
