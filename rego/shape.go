package rego

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// shape is what schema/input.json says of one value, as far as that schema goes:
// type, properties, additionalProperties, required, items and $ref to a definition.
// A nil shape is that of a value of which it says nothing.
type shape struct {
	kind       string // JSON Schema's type
	properties map[string]property
	closed     bool   // fields that are none of the properties are left out
	values     *shape // of such fields, where they are not
	items      *shape // of an array's elements
	required   []string
}

// property is a field, with its name as the term that all documents share.
type property struct {
	key   *ast.Term
	shape *shape
}

// schema is the JSON form of a shape.
type schema struct {
	Ref                  string            `json:"$ref"`
	Type                 string            `json:"type"`
	Properties           map[string]schema `json:"properties"`
	AdditionalProperties json.RawMessage   `json:"additionalProperties"`
	Required             []string          `json:"required"`
	Items                *schema           `json:"items"`
	Definitions          map[string]schema `json:"definitions"`
}

// parseShape reads a JSON schema. References must not be recursive.
func parseShape(data []byte) (*shape, error) {
	var root schema
	if err := json.Unmarshal(data, &root); err != nil {
		return nil, fmt.Errorf("parse schema: %w", err)
	}
	return root.shape(root.Definitions)
}

func (s schema) shape(definitions map[string]schema) (*shape, error) {
	if s.Ref != "" {
		definition, ok := definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
		if !ok {
			return nil, fmt.Errorf("parse schema: no definition %q", s.Ref)
		}
		return definition.shape(definitions)
	}
	result := &shape{kind: s.Type, required: s.Required, properties: map[string]property{}}
	for name, field := range s.Properties {
		fieldShape, err := field.shape(definitions)
		if err != nil {
			return nil, err
		}
		result.properties[name] = property{ast.StringTerm(name), fieldShape}
	}
	var err error
	switch additional := string(s.AdditionalProperties); {
	case additional == "false":
		result.closed = true
	case strings.HasPrefix(additional, "{"):
		var values schema
		if err := json.Unmarshal(s.AdditionalProperties, &values); err != nil {
			return nil, fmt.Errorf("parse schema: additionalProperties: %w", err)
		}
		if result.values, err = values.shape(definitions); err != nil {
			return nil, err
		}
	}
	if s.Items != nil {
		result.items, err = s.Items.shape(definitions)
	}
	return result, err
}

// term turns decoded JSON, with numbers as json.Number, into a term of the query and
// holds it against the shape. Errors begin with the path inside the value.
func (s *shape) term(decoded any) (*ast.Term, error) {
	if s != nil && s.kind != "" && s.kind != kindOf(decoded) {
		return nil, fmt.Errorf(": is of type %s, not %s", kindOf(decoded), s.kind)
	}
	switch value := decoded.(type) {
	case map[string]any:
		return s.object(value)
	case []any:
		return s.array(value)
	default:
		leaf, err := ast.InterfaceToValue(value)
		return ast.NewTerm(leaf), err
	}
}

func (s *shape) object(fields map[string]any) (*ast.Term, error) {
	if s == nil {
		s = &shape{}
	}
	terms := make([][2]*ast.Term, 0, len(fields))
	for name, value := range fields {
		field, known := s.properties[name]
		if !known {
			field = property{ast.StringTerm(name), s.values}
		}
		// In the API server's own decoding null is absent, but in a map of texts empty.
		if value == nil && !known && !s.closed && s.values != nil && s.values.kind == "string" {
			value = ""
		}
		if value == nil || !known && s.closed {
			continue
		}
		term, err := field.shape.term(value)
		if err != nil {
			return nil, fmt.Errorf(".%s%w", name, err)
		}
		terms = append(terms, [2]*ast.Term{field.key, term})
	}
	for _, name := range s.required {
		if fields[name] == nil {
			return nil, fmt.Errorf(".%s: is missing", name)
		}
	}
	return ast.ObjectTerm(terms...), nil
}

func (s *shape) array(elements []any) (*ast.Term, error) {
	var items *shape
	if s != nil {
		items = s.items
	}
	terms := make([]*ast.Term, len(elements))
	for i, element := range elements {
		if element == nil {
			return nil, fmt.Errorf("[%d]: is null", i)
		}
		var err error
		if terms[i], err = items.term(element); err != nil {
			return nil, fmt.Errorf("[%d]%w", i, err)
		}
	}
	return ast.ArrayTerm(terms...), nil
}

// kindOf is JSON Schema's name of a decoded value's type.
func kindOf(decoded any) string {
	switch value := decoded.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case json.Number:
		if _, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			return "integer"
		}
		return "number"
	default:
		return "null"
	}
}
