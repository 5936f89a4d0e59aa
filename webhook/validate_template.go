package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kjson "sigs.k8s.io/json"

	configv1alpha1 "github.com/bulkhead-dev/bulkhead/api/config/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/api/v1alpha1"
	"github.com/bulkhead-dev/bulkhead/rego"
)

// validateTemplate judges the pod template at a path in a workload, so that whoever
// writes the workload is told what its controller would be told of the pods. It
// protects nothing that pods' own reviews do not.
func validateTemplate(kind metav1.GroupVersionKind, path ...string) handler {
	return func(a *Admission, ctx context.Context, request *admissionv1.AdmissionRequest) decision {
		if a.config.WorkloadTemplates == configv1alpha1.WorkloadTemplatesIgnore {
			return allow()
		}
		if d, ok := a.exempts(request); ok {
			return d
		}
		if err := checkKind(request, kind); err != nil {
			return badRequest("%v", err)
		}
		object, old, err := templates(request, path)
		if err != nil {
			return badRequest("%v", err)
		}
		if object == nil {
			return allow() // a ReplicationController may have none
		}
		if d, ok := a.exemptsPod(object.pod); ok {
			return d
		}
		if old != nil {
			if same, err := sameToRules(object.raw, old.raw); err != nil {
				return failed(err)
			} else if same {
				return allow()
			}
		}
		return a.judgeTemplate(ctx, request, object, old, path)
	}
}

func (a *Admission) judgeTemplate(ctx context.Context, request *admissionv1.AdmissionRequest, object, old *podObject, path []string) decision {
	if request.Namespace == "" {
		return badRequest("a %s without a namespace", resourceOf(request))
	}
	t, err := a.termsOf(ctx, request.Namespace)
	if err != nil {
		return failed(err)
	}
	t.onlyWarn = a.config.WorkloadTemplates == configv1alpha1.WorkloadTemplatesWarn
	if unready := a.unready(t); len(unready) > 0 {
		return t.decide(rego.Result{Violations: unready})
	}
	found, err := a.askTemplate(ctx, a.question(request, t), object, old, t)
	if err != nil {
		return failed(err)
	}
	in := template{prefix: strings.Join(path, ".") + ".", injected: t.tenant != nil, initContainers: object.pod.Spec.InitContainers}
	d := t.decide(rego.Result{
		Violations: in.readdress(found.Violations),
		Warnings:   in.readdress(found.Warnings),
		Audit:      in.readdress(found.Audit),
	})
	if t.tenant != nil && t.enforcement == v1alpha1.Enforce {
		obstacles, err := a.obstacles(ctx, request.Namespace, t.tenant)
		if err != nil {
			return failed(err)
		}
		d.tell(obstacles.certain, v1alpha1.Enforce)
		d.tell(obstacles.possible, v1alpha1.Warn)
	}
	return d
}

// askTemplate asks about the pod that the template will be.
func (a *Admission) askTemplate(ctx context.Context, in rego.Input, object, old *podObject, t terms) (rego.Result, error) {
	if len(object.raw) > maxPod { // before all that takes longer the larger it is
		return rego.Result{Violations: []rego.Violation{tooLargePod()}}, nil
	}
	in.Request.Operation, in.Request.Resource, in.Request.Subresource = rego.Create, podCreate.resource, ""
	if t.tenant != nil {
		for _, pod := range []**podObject{&object, &old} {
			if *pod == nil {
				continue
			}
			injected, err := a.injected(*pod, t)
			if err != nil {
				return rego.Result{}, err
			}
			*pod = injected
		}
	}
	return a.askPod(ctx, in, object, old, t)
}

// templates returns the pod template of the workload, and the one before an update,
// as pods; nil if there is none.
func templates(request *admissionv1.AdmissionRequest, path []string) (object, old *podObject, err error) {
	if object, err = templateOf(request.Object.Raw, path); err != nil {
		return nil, nil, fmt.Errorf("object: %w", err)
	}
	if request.Operation != admissionv1.Update {
		return object, nil, nil
	}
	if old, err = templateOf(request.OldObject.Raw, path); err != nil {
		return nil, nil, fmt.Errorf("oldObject: %w", err)
	}
	return object, old, nil
}

func templateOf(raw []byte, path []string) (*podObject, error) {
	if len(raw) == 0 {
		return nil, errors.New("the request has no workload")
	}
	for _, name := range path {
		var fields map[string]json.RawMessage
		if err := unmarshal(raw, &fields); err != nil {
			return nil, fmt.Errorf("decode workload: %w", err)
		}
		if raw = fields[name]; len(raw) == 0 || string(raw) == "null" {
			return nil, nil
		}
	}
	var pod struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        json.RawMessage `json:"metadata,omitempty"`
		Spec            json.RawMessage `json:"spec,omitempty"`
	}
	if err := unmarshal(raw, &pod); err != nil {
		return nil, fmt.Errorf("decode pod template: %w", err)
	}
	pod.APIVersion, pod.Kind = "v1", podKind.Kind
	encoded, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("encode pod template: %w", err)
	}
	return decodePod(encoded)
}

// unmarshal decodes JSON; a doubled field is an error.
func unmarshal(raw []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(raw, into, kjson.DisallowDuplicateFields)
	return errors.Join(append(strict, err)...)
}

// template is where a pod template stands in its workload.
type template struct {
	prefix string
	// injected: the rules saw it with the sidecar in front of initContainers.
	injected       bool
	initContainers []corev1.Container
}

// initContainerIndex is how rego/lib/report writes a field path.
var initContainerIndex = regexp.MustCompile(`\bspec\.initContainers\[(\d+)\]`)

// readdress makes paths in the pod paths in the workload as it was written.
func (w template) readdress(violations []rego.Violation) []rego.Violation {
	readdressed := make([]rego.Violation, len(violations))
	for i, v := range violations {
		field := w.prefix + initContainerIndex.ReplaceAllStringFunc(v.Field, w.original)
		if v.Field == "" {
			field = ""
		}
		v.Message = strings.ReplaceAll(v.Message, v.Field, field)
		v.Field = field
		readdressed[i] = v
	}
	return readdressed
}

// original is the place before injection, which took out what has a reserved name
// and put two in front.
func (w template) original(path string) string {
	index, err := strconv.Atoi(initContainerIndex.FindStringSubmatch(path)[1])
	if err != nil || !w.injected {
		return path
	}
	for i, container := range w.initContainers {
		if isReserved(container.Name) {
			continue
		}
		if index == 2 {
			return fmt.Sprintf("spec.initContainers[%d]", i)
		}
		index--
	}
	return path
}
