package rego

import (
	"fmt"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// What is asked about an object: violations, warnings and audit, as indices.
const (
	enforce = iota
	warn
	audit
	questions
)

// selector is what decides which rules count. Of a version it holds where the
// selection last changed, so that there are few of them.
type selector struct {
	operation string
	resource  string
	tenant    bool
	standards [questions]standard
}

// selection is the rules that count for a selector, and the same as a term of the
// query's input: {id: [category, name], ...}.
type selection struct {
	rules []selected
	term  *ast.Term
}

// selected is a rule and the questions that it answers.
type selected struct {
	Rule
	answers [questions]bool
}

// selections finds the selection of an input, and keeps it.
type selections struct {
	rules []Rule
	known sync.Map // selection by selector
}

// of returns the input's selection, and the standards that it asks about.
func (s *selections) of(in Input) (*selection, [questions]standard, error) {
	var standards [questions]standard
	if !slices.Contains(operations(), in.Request.Operation) {
		return nil, standards, fmt.Errorf("no rules for operation %q", in.Request.Operation)
	}
	if documentOf(in.Request) == "" {
		return nil, standards, fmt.Errorf("no rules for resource %q", in.Request.Resource)
	}
	for question, level := range [questions]Level{in.Enforce, in.Warn, in.Audit} {
		if question != enforce && level == (Level{}) {
			continue
		}
		var err error
		if standards[question], err = level.standard(); err != nil {
			return nil, standards, err
		}
	}
	key := selector{in.Request.Operation, in.Request.Resource, in.Sidecar != nil || in.Tenant != nil, standards}
	for question := range key.standards {
		key.standards[question] = s.lastChange(key.standards[question])
	}
	found, ok := s.known.Load(key)
	if !ok {
		found, _ = s.known.LoadOrStore(key, key.selection(s.rules))
	}
	return found.(*selection), standards, nil
}

// lastChange is the same level at the version since which it has had the same rules.
func (s *selections) lastChange(at standard) standard {
	since := version(0)
	for _, rule := range s.rules {
		if rule.since <= at.version {
			since = max(since, rule.since)
		}
	}
	return standard{at.level, since}
}

func (s selector) selection(rules []Rule) *selection {
	chosen := &selection{}
	var terms [][2]*ast.Term
	for _, rule := range rules {
		answers := s.answers(rule, rules)
		if answers == ([questions]bool{}) {
			continue
		}
		chosen.rules = append(chosen.rules, selected{rule, answers})
		path := ast.ArrayTerm(ast.StringTerm(rule.Category), ast.StringTerm(rule.Name))
		terms = append(terms, [2]*ast.Term{ast.StringTerm(rule.ID), path})
	}
	chosen.term = ast.ObjectTerm(terms...)
	return chosen
}

// answers tells which questions the rule answers, given all rules of the engine.
func (s selector) answers(rule Rule, all []Rule) (answers [questions]bool) {
	if !slices.Contains(rule.Operations, s.operation) || !slices.Contains(rule.Resources, s.resource) {
		return answers
	}
	if rule.Level == "" {
		// Only the Pod Security Standards have levels that only warn.
		answers[enforce] = s.tenant || rule.Always
		return answers
	}
	for question, at := range s.standards {
		answers[question] = at.selects(rule) && !slices.ContainsFunc(all, func(other Rule) bool {
			// A restricted check replaces the baseline check of the same fields, as in
			// k8s.io/pod-security-admission (OverrideCheckIDs).
			return at.selects(other) && slices.Contains(other.Overrides, rule.ID)
		})
	}
	return answers
}

func (s standard) selects(rule Rule) bool {
	return s.includes(rule.Level) && rule.since <= s.version
}

func operations() []string { return []string{Create, Update, Connect} }
