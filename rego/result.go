package rego

import (
	"cmp"
	"fmt"
	"strings"
)

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

// Result is the answer to an Input.
type Result struct {
	// Violations are sorted by rule id, field, container and message.
	Violations []Violation
	// Rules is the number of rules that ran.
	Rules int
}
