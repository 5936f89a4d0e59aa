package rego

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// The operations that rules know. DELETE is never routed to the webhook.
const (
	Create  = "CREATE"
	Update  = "UPDATE"
	Connect = "CONNECT"
)

// The levels of the Pod Security Standards.
const (
	Privileged = "privileged"
	Baseline   = "baseline"
	Restricted = "restricted"
)

var operations = []string{Create, Update, Connect}
var levels = []string{Privileged, Baseline, Restricted}

// Input is one question: the document that the rules see, described by
// schema/input.json, and what selects the rules.
type Input struct {
	Request Request
	// Object is the Pod, or for CONNECT the PodExecOptions or PodAttachOptions,
	// as JSON.
	Object json.RawMessage
	// OldObject is the Pod as it was; UPDATE only.
	OldObject json.RawMessage
	// Level says which rules of the Pod Security Standards count: Privileged,
	// Baseline or Restricted.
	Level string
	// Sidecar is what the pod must carry; nil where the namespace has no tenant.
	Sidecar *Sidecar
}

// Request is what the rules may know of the admission request.
type Request struct {
	Operation   string `json:"operation"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	User        User   `json:"user"`
}

// User is who asks.
type User struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups"`
}

// Sidecar holds the two containers that the configuration injects at
// initContainers[0] and [1], as JSON.
type Sidecar struct {
	Init     json.RawMessage `json:"init"`
	Firewall json.RawMessage `json:"firewall"`
}

// document builds the query's input for the selected rules, or says all that is
// wrong with it.
func (in Input) document(rules *ast.Term) (ast.Value, error) {
	var errs []error
	object := func(field string, data json.RawMessage) *ast.Term {
		value, err := objectValue(data)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", field, err))
			return ast.NullTerm()
		}
		return ast.NewTerm(value)
	}
	request, err := ast.InterfaceToValue(in.Request)
	if err != nil {
		errs = append(errs, fmt.Errorf("request: %w", err))
	}
	oldObject, sidecar := ast.NullTerm(), ast.NullTerm()
	if in.Request.Operation == Update {
		oldObject = object("oldObject", in.OldObject)
	}
	if in.Sidecar != nil {
		sidecar = ast.ObjectTerm(
			[2]*ast.Term{ast.StringTerm("init"), object("sidecar.init", in.Sidecar.Init)},
			[2]*ast.Term{ast.StringTerm("firewall"), object("sidecar.firewall", in.Sidecar.Firewall)},
		)
	}
	document := ast.NewObject(
		[2]*ast.Term{ast.StringTerm("request"), ast.NewTerm(request)},
		[2]*ast.Term{ast.StringTerm("object"), object("object", in.Object)},
		[2]*ast.Term{ast.StringTerm("oldObject"), oldObject},
		[2]*ast.Term{ast.StringTerm("sidecar"), sidecar},
		[2]*ast.Term{ast.StringTerm("rules"), rules},
	)
	return document, errors.Join(errs...)
}

// objectValue decodes exactly one JSON object.
func objectValue(data json.RawMessage) (ast.Value, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var decoded map[string]any
	if err := decoder.Decode(&decoded); err != nil {
		return nil, fmt.Errorf("decode JSON object: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	if decoded == nil {
		return nil, errors.New("null instead of a JSON object")
	}
	return ast.InterfaceToValue(decoded)
}

// selector is what decides which rules count.
type selector struct {
	operation string
	level     string
	sidecar   bool
}

func (in Input) selector() selector {
	return selector{in.Request.Operation, in.Level, in.Sidecar != nil}
}

// selects tells whether the rule counts, given all rules of the engine.
func (s selector) selects(rule Rule, all []Rule) bool {
	if !slices.Contains(rule.Operations, s.operation) {
		return false
	}
	if rule.Level == "" {
		return s.sidecar || rule.Always
	}
	if !includes(s.level, rule.Level) {
		return false
	}
	// A restricted check replaces the baseline check of the same fields, as in
	// k8s.io/pod-security-admission (OverrideCheckIDs).
	return !slices.ContainsFunc(all, func(other Rule) bool {
		return includes(s.level, other.Level) && slices.Contains(other.Overrides, rule.ID)
	})
}

// includes tells whether the rules of a level count at the level that is asked for.
func includes(asked, level string) bool {
	return slices.Index(levels, level) > 0 && slices.Index(levels, asked) >= slices.Index(levels, level)
}
