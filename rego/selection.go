package rego

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// selector is what decides which rules count.
type selector struct {
	operation string
	level     string
	sidecar   bool
}

// selection is the rules that count for a selector, and the same as a term of the
// query's input: {id: [category, name], ...}.
type selection struct {
	rules []Rule
	term  *ast.Term
}

func (in Input) selector() selector {
	return selector{in.Request.Operation, in.Level, in.Sidecar != nil}
}

// selections computes the selection of every selector there is.
func selections(rules []Rule) map[selector]selection {
	all := map[selector]selection{}
	for _, operation := range operations() {
		for _, level := range levels() {
			for _, sidecar := range []bool{false, true} {
				s := selector{operation, level, sidecar}
				all[s] = s.selection(rules)
			}
		}
	}
	return all
}

func (s selector) selection(rules []Rule) selection {
	var chosen selection
	var terms [][2]*ast.Term
	for _, rule := range rules {
		if s.selects(rule, rules) {
			chosen.rules = append(chosen.rules, rule)
			path := ast.ArrayTerm(ast.StringTerm(rule.Category), ast.StringTerm(rule.Name))
			terms = append(terms, [2]*ast.Term{ast.StringTerm(rule.ID), path})
		}
	}
	chosen.term = ast.ObjectTerm(terms...)
	return chosen
}

// selects tells whether the rule counts, given all rules of the engine.
func (s selector) selects(rule Rule, all []Rule) bool {
	if !slices.Contains(rule.Operations, s.operation) {
		return false
	}
	if rule.Level == "" {
		return s.sidecar || rule.Always
	}
	// A restricted check replaces the baseline check of the same fields, as in
	// k8s.io/pod-security-admission (OverrideCheckIDs).
	overridden := slices.ContainsFunc(all, func(other Rule) bool {
		return includes(s.level, other.Level) && slices.Contains(other.Overrides, rule.ID)
	})
	return includes(s.level, rule.Level) && !overridden
}

// includes tells whether the rules of a level count at the level that is asked for.
func includes(asked, level string) bool {
	switch asked {
	case Restricted:
		return level == Restricted || level == Baseline
	case Baseline:
		return level == Baseline
	default:
		return false
	}
}

func operations() []string { return []string{Create, Update, Connect} }

func levels() []string { return []string{Privileged, Baseline, Restricted} }
