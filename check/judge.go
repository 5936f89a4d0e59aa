package check

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
	"github.com/bulkhead-dev/bulkhead/webhook"
	"github.com/bulkhead-dev/bulkhead/webhook/customrules"
	"github.com/bulkhead-dev/bulkhead/webhook/tenants"
)

// Run checks the manifests. An error means that there is no result.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	in := &input{stdin: o.Stdin, left: maxInput}
	objects, err := in.read(ctx, o.Files)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("no objects in %s: did what makes them fail, or is it another folder?", strings.Join(o.Files, ", "))
	}
	t, err := newTerms(ctx, &o, in, objects)
	if err != nil {
		return nil, err
	}
	j, err := newJudge(ctx, o.CustomRules, t)
	if err != nil {
		return nil, err
	}
	answers, err := j.judgeAll(ctx, objects)
	if err != nil {
		return nil, err
	}
	return newReport(o.Strict, t, j.rules, objects, answers), nil
}

// judge asks the same code as the webhook.
type judge struct {
	admission *webhook.Admission
	fields    *fields
	terms     *terms
	rules     []rego.Rule
}

func newJudge(ctx context.Context, customRules string, t *terms) (*judge, error) {
	var modules map[string]string
	if customRules != "" {
		var err error
		if modules, err = customrules.Read(customRules); err != nil {
			return nil, fmt.Errorf("--custom-rules: %w", err)
		}
		if len(modules) == 0 {
			return nil, fmt.Errorf("--custom-rules %s: no .rego files", customRules)
		}
	}
	engine, err := rego.New(ctx, modules)
	if err != nil {
		return nil, fmt.Errorf("compile the rules: %w", err)
	}
	static, err := tenants.NewStatic(t.config, t.tenants)
	if err != nil {
		return nil, err
	}
	admission, err := webhook.NewAdmission(t.config, webhook.Parts{Tenants: static, Namespaces: t.namespaces, Engine: engine})
	if err != nil {
		return nil, fmt.Errorf("prepare admission: %w", err)
	}
	return &judge{admission, newFields(), t, engine.Rules()}, nil
}

// answer is what became of an object.
type answer struct {
	// judged: by rules; others are looked at for fields that nobody knows.
	judged   bool
	findings []webhook.Finding
}

// judgeAll keeps the objects' order.
func (j *judge) judgeAll(ctx context.Context, objects []*object) ([]answer, error) {
	answers := make([]answer, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, o := range objects {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var err error
			answers[i], err = j.judge(ctx, o)
			return err
		})
	}
	return answers, group.Wait()
}

func (j *judge) judge(ctx context.Context, o *object) (answer, error) {
	if j.terms.exempt(o.namespace) && !o.is("v1", "Namespace") {
		return answer{}, nil
	}
	wrong, decodes := j.fields.wrong(o)
	if !decodes {
		return answer{judged: true, findings: wrong}, nil
	}
	found, err := j.admission.Check(ctx, webhook.Object{JSON: o.json, Namespace: o.namespace})
	switch {
	case errors.Is(err, webhook.ErrNotJudged):
		return answer{findings: wrong}, nil
	case errors.Is(err, webhook.ErrInvalid):
		return answer{judged: true, findings: append(wrong, invalid(err))}, nil
	case err != nil:
		return answer{}, o.wrong(o.path, err)
	}
	// What rules say of a field that they cannot judge, the decoder has said.
	found = slices.DeleteFunc(found, func(f webhook.Finding) bool {
		return slices.ContainsFunc(wrong, func(w webhook.Finding) bool { return w.Field != "" && w.Field == f.Field })
	})
	return answer{judged: true, findings: append(wrong, found...)}, nil
}

func invalid(err error) webhook.Finding {
	return webhook.Finding{Enforcement: v1alpha1.Enforce, Violation: rego.Violation{
		ID: idInvalid, Severity: "medium", Message: printable(err.Error()), Remedy: "correct the manifest: the API server takes no such object",
	}}
}
