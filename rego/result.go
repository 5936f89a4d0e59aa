package rego

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/topdown"
)

// Result is the answer to an Input. Its lists are sorted by rule id, field, container
// and message, and each is whole: one violation may be in all of them.
type Result struct {
	// Violations are of the Pod Security Standards at the level Enforce, and of all
	// other rules.
	Violations []Violation
	// Warnings and Audit are of the Pod Security Standards alone, at these levels.
	Warnings, Audit []Violation
	// Rules is the number of rules that ran.
	Rules int
}

// Violation is one thing that a rule refuses. It is comparable.
type Violation struct {
	// ID is the rule's.
	ID string
	// Container is the container's name; empty for the object itself.
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
func (s *selection) result(answer any, standards [questions]standard) (Result, error) {
	byID, _ := answer.(map[string]any)
	var lists [questions][]Violation
	var errs []error
	for _, rule := range s.rules {
		found, ran := byID[rule.ID].([]any)
		if !ran {
			errs = append(errs, fmt.Errorf("rule %s did not run", rule.ID))
		}
		for _, value := range found {
			violation, versions, err := rule.violation(value)
			errs = append(errs, err)
			for question, answers := range rule.answers {
				if answers && (rule.Level == "" || versions.includes(standards[question].version)) {
					lists[question] = append(lists[question], violation)
				}
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	for question, list := range lists {
		slices.SortFunc(list, compareViolations)
		lists[question] = slices.Compact(list)
	}
	return Result{lists[enforce], lists[warn], lists[audit], len(s.rules)}, nil
}

// blame names the rule in whose module a query failed.
func (s *selection) blame(err error) error {
	var failed *topdown.Error
	if !errors.As(err, &failed) || failed.Location == nil {
		return err
	}
	for _, rule := range s.rules {
		if rule.file == failed.Location.File {
			return fmt.Errorf("rule %s: %w", rule.ID, err)
		}
	}
	return err
}

// violation reads one violation of the rule's set, and the versions of the Pod
// Security Standards at which it is one.
func (r Rule) violation(value any) (Violation, span, error) {
	violation := Violation{ID: r.ID, Severity: r.Severity, Threat: strings.Join(r.Threats, ", ")}
	var since, until string
	fields, _ := value.(map[string]any)
	for _, field := range []struct {
		name     string
		target   *string
		optional bool
	}{
		{"container", &violation.Container, false},
		{"field", &violation.Field, false},
		{"message", &violation.Message, false},
		{"remedy", &violation.Remedy, false},
		{"since", &since, true},
		{"until", &until, true},
	} {
		value, set := fields[field.name]
		text, ok := value.(string)
		if !ok && (set || !field.optional) {
			return Violation{}, span{}, fmt.Errorf("rule %s: violation without text in %q", r.ID, field.name)
		}
		*field.target = text
	}
	versions, err := parseSpan(since, until)
	if err != nil {
		return Violation{}, span{}, fmt.Errorf("rule %s: violation: %w", r.ID, err)
	}
	return violation, versions, nil
}
