package rego

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Result is the answer to an Input.
type Result struct {
	// Violations are sorted by rule id, field, container and message.
	Violations []Violation
	// Rules is the number of rules that ran.
	Rules int
}

// Violation is one thing that a rule refuses. It is comparable.
type Violation struct {
	// ID is the rule's.
	ID string
	// Container is the container's name; empty for the pod itself.
	Container string
	// Field is the field's path in the object.
	Field string
	// Message says what is wrong, with container and field path.
	Message string
	// Remedy says what to do.
	Remedy string
	// Severity and Threat (ids, separated by comma and space) are the rule's.
	Severity string
	Threat   string
}

// String is the text of a refusal: "<rule id>: <what>; <what to do>".
func (v Violation) String() string {
	return fmt.Sprintf("%s: %s; %s", v.ID, v.Message, v.Remedy)
}

func compareViolations(a, b Violation) int {
	return cmp.Or(
		strings.Compare(a.ID, b.ID),
		strings.Compare(a.Field, b.Field),
		strings.Compare(a.Container, b.Container),
		strings.Compare(a.Message, b.Message),
	)
}

// result reads the entry point's answer: {id: [violation, ...]}. Every rule of the
// selection must be in it (A4).
func (s selection) result(answer any) (Result, error) {
	byID, _ := answer.(map[string]any)
	var violations []Violation
	var errs []error
	for _, rule := range s.rules {
		found, ran := byID[rule.ID].([]any)
		if !ran {
			errs = append(errs, fmt.Errorf("rule %s did not run", rule.ID))
		}
		for _, value := range found {
			violation, err := rule.violation(value)
			errs = append(errs, err)
			violations = append(violations, violation)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	slices.SortFunc(violations, compareViolations)
	return Result{Violations: violations, Rules: len(s.rules)}, nil
}

// violation reads one violation of the rule's set.
func (r Rule) violation(value any) (Violation, error) {
	violation := Violation{ID: r.ID, Severity: r.Severity, Threat: strings.Join(r.Threats, ", ")}
	fields, _ := value.(map[string]any)
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
