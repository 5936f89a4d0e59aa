package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/util/validation"

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
		return nil, fmt.Errorf("no objects in %s: is the name right, and did the command succeed that writes them?", strings.Join(o.Files, ", "))
	}
	t, err := newTerms(ctx, &o, in, objects)
	if err != nil {
		return nil, err
	}
	j, err := newJudge(ctx, &o, t)
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
	progress  io.Writer
}

// progressPeriod is how often a long run tells how far it is.
const progressPeriod = 2 * time.Second

func newJudge(ctx context.Context, o *Options, t *terms) (*judge, error) {
	var modules map[string]string
	if o.CustomRules != "" {
		var err error
		if modules, err = customrules.Read(o.CustomRules); err != nil {
			return nil, fmt.Errorf("--custom-rules: %w", err)
		}
		if len(modules) == 0 {
			return nil, fmt.Errorf("--custom-rules %s: no .rego files", o.CustomRules)
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
	admission, err := webhook.NewAdmission(t.config, webhook.Parts{
		Tenants: static, Namespaces: t.namespaces, Engine: func() webhook.Engine { return engine },
		Feed: standInFeed, Identity: func() *tenants.Problem { return nil }, Addresses: standInAddresses{},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare admission: %w", err)
	}
	return &judge{admission, newFields(), t, engine.Rules(), o.Progress}, nil
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
	var done atomic.Int64
	defer j.tell(&done, len(objects))()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, o := range objects {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var err error
			answers[i], err = j.judge(ctx, o)
			done.Add(1)
			return err
		})
	}
	return answers, group.Wait()
}

// tell tells now and then how far it is, until it is stopped.
func (j *judge) tell(done *atomic.Int64, all int) (stop func()) {
	ticker, stopped := time.NewTicker(progressPeriod), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(j.progress, "%d of %d objects\n", done.Load(), all)
			case <-stopped:
				ticker.Stop()
				return
			}
		}
	})
	return func() { close(stopped); running.Wait() }
}

func (j *judge) judge(ctx context.Context, o *object) (answer, error) {
	if j.terms.exempt(o.namespace) && !o.is("v1", "Namespace") {
		return answer{}, nil
	}
	for _, text := range validation.IsDNS1123Label(o.namespace) {
		if o.namespace != "" {
			return answer{judged: true, findings: []webhook.Finding{invalid(fmt.Errorf("namespace %q: %s", o.namespace, text))}}, nil
		}
	}
	if err := o.unknownKind(); err != nil {
		return answer{judged: true, findings: []webhook.Finding{invalid(err)}}, nil
	}
	// The least that the API server asks of any name; of some it asks more.
	if texts := validation.IsDNS1123Subdomain(o.meta.Name); len(texts) > 0 && o.meta.Name != "" && (o.isTenant() || webhook.Judges(o.GroupVersionKind())) {
		return answer{judged: true, findings: []webhook.Finding{invalid(fmt.Errorf("metadata.name %q: %s", o.meta.Name, texts[0]))}}, nil
	}
	if o.isOurs() {
		if _, err := tenants.Parse(o.manifest()); err != nil {
			return answer{judged: true, findings: []webhook.Finding{invalid(err)}}, nil
		}
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

// wrongType is how Kubernetes' decoder tells of a value of a wrong type.
var wrongType = regexp.MustCompile(`Go struct field \w+\.(\S+) of type`)

func invalid(err error) webhook.Finding {
	var field string
	if match := wrongType.FindStringSubmatch(err.Error()); match != nil {
		field = match[1]
	}
	return webhook.Finding{Enforcement: v1alpha1.Enforce, Violation: rego.Violation{
		ID: idInvalid, Severity: "medium", Field: field, Message: printable(err.Error()), Remedy: "correct the manifest: the API server takes no such object",
	}}
}
