package rego

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/rego"
)

// entrypoint is main/main.rego's rule.
const entrypoint = "data.main.ran"

// Engine holds the compiled rules. It is safe for concurrent use.
type Engine struct {
	rules      []Rule
	query      opa.PreparedEvalQuery
	selections map[selector]selection
}

// selection is the rules that count for a selector, and the same as a term of the
// query's input: [[category, name], ...].
type selection struct {
	rules []Rule
	term  *ast.Term
}

// New compiles the embedded rules. The error lists all that is wrong with them.
func New(ctx context.Context) (*Engine, error) {
	return newEngine(ctx, modules)
}

// newEngine compiles the rules of a file system laid out as this package's folder.
func newEngine(ctx context.Context, files fs.FS) (*Engine, error) {
	parsed, err := load(files)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	rules, err := rulesOf(parsed)
	if err != nil {
		return nil, fmt.Errorf("load rules: %w", err)
	}
	compiler := ast.NewCompiler().WithStrict(true).WithCapabilities(capabilities())
	if compiler.Compile(parsed); compiler.Failed() {
		return nil, fmt.Errorf("compile rules: %w", compiler.Errors)
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
	return &Engine{rules: rules, query: query, selections: selections(rules)}, nil
}

// load parses all modules but the tests.
func load(files fs.FS) (map[string]*ast.Module, error) {
	parsed := map[string]*ast.Module{}
	var errs []error
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
			return err
		}
		source, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		module, err := ast.ParseModuleWithOpts(path, string(source), ast.ParserOptions{
			ProcessAnnotation: true,
			RegoVersion:       ast.RegoV1,
			Capabilities:      capabilities(),
		})
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		parsed[path] = module
		return nil
	})
	return parsed, errors.Join(append(errs, err)...)
}

// capabilities are OPA's less every built-in whose result depends on anything but
// its arguments: network, time, randomness, environment. A decision is a function
// of its input.
func capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return b.IsNondeterministic() })
	c.AllowNet = []string{}
	return c
}

func selections(rules []Rule) map[selector]selection {
	all := map[selector]selection{}
	for _, operation := range operations {
		for _, level := range levels {
			for _, sidecar := range []bool{false, true} {
				s := selector{operation, level, sidecar}
				var chosen selection
				var terms []*ast.Term
				for _, rule := range rules {
					if s.selects(rule, rules) {
						chosen.rules = append(chosen.rules, rule)
						terms = append(terms, ast.ArrayTerm(ast.StringTerm(rule.Category), ast.StringTerm(rule.Name)))
					}
				}
				chosen.term = ast.ArrayTerm(terms...)
				all[s] = chosen
			}
		}
	}
	return all
}

// Rules returns all rules, sorted by id.
func (e *Engine) Rules() []Rule {
	return slices.Clone(e.rules)
}

// Evaluate asks the rules that count for the input. On an error nothing is known
// about the object, and the caller must deny.
func (e *Engine) Evaluate(ctx context.Context, in Input) (Result, error) {
	chosen, ok := e.selections[in.selector()]
	if !ok {
		return Result{}, fmt.Errorf("evaluate rules: unknown operation %q or level %q", in.Request.Operation, in.Level)
	}
	document, err := in.document(chosen.term)
	if err != nil {
		return Result{}, fmt.Errorf("evaluate rules: input: %w", err)
	}
	if err := context.Cause(ctx); err != nil {
		return Result{}, fmt.Errorf("evaluate rules: %w", err)
	}
	results, err := e.query.Eval(ctx, opa.EvalParsedInput(document))
	if err != nil {
		return Result{}, fmt.Errorf("evaluate rules: %w", errors.Join(context.Cause(ctx), err))
	}
	if len(results) != 1 || len(results[0].Expressions) != 1 {
		return Result{}, errors.New("evaluate rules: the entry point is undefined")
	}
	violations, err := chosen.violations(results[0].Expressions[0].Value)
	if err != nil {
		return Result{}, fmt.Errorf("evaluate rules: %w", err)
	}
	return Result{Violations: violations, Rules: len(chosen.rules)}, nil
}

// violations reads the entry point's answer: {category: {name: [violation, ...]}}.
// Every rule of the selection must be in it.
func (s selection) violations(answer any) ([]Violation, error) {
	categories, _ := answer.(map[string]any)
	var violations []Violation
	var errs []error
	for _, rule := range s.rules {
		names, _ := categories[rule.Category].(map[string]any)
		found, ran := names[rule.Name].([]any)
		if !ran {
			errs = append(errs, fmt.Errorf("rule %s did not run", rule.ID))
			continue
		}
		for _, value := range found {
			violation, err := rule.violation(value)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			violations = append(violations, violation)
		}
	}
	slices.SortFunc(violations, compareViolations)
	return violations, errors.Join(errs...)
}

// violation reads one violation of the rule's set.
func (r Rule) violation(value any) (Violation, error) {
	fields, _ := value.(map[string]any)
	violation := Violation{ID: r.ID, Severity: r.Severity, Threat: strings.Join(r.Threats, ", ")}
	for name, target := range map[string]*string{
		"container": &violation.Container,
		"field":     &violation.Field,
		"message":   &violation.Message,
		"remedy":    &violation.Remedy,
	} {
		text, ok := fields[name].(string)
		if !ok {
			return Violation{}, fmt.Errorf("rule %s: violation without text in %q", r.ID, name)
		}
		*target = text
	}
	return violation, nil
}
