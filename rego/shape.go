package rego

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
)

// shape is what schema/input.json says of one value, as far as that schema goes:
// type, properties, additionalProperties, required, items and $ref to a definition.
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
	index int // among the properties
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
	anything := &shape{}
	anything.values, anything.items = anything, anything
	result := &shape{kind: s.Type, required: s.Required, properties: map[string]property{}, values: anything, items: anything}
	for name, field := range s.Properties {
		fieldShape, err := field.shape(definitions)
		if err != nil {
			return nil, err
		}
		result.properties[name] = property{ast.StringTerm(name), fieldShape, len(result.properties)}
	}
	if len(result.properties) > 64 {
		return nil, errors.New("parse schema: more than 64 properties")
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

// term reads a value into a term of the query, and holds it against the shape. Errors
// begin with the path inside the value.
func (s *shape) term(r *rawjson.Reader) (*ast.Term, error) {
	if s.kind != "" && s.kind != r.Kind() {
		return nil, fmt.Errorf(": is of type %s, not %s", r.Kind(), s.kind)
	}
	switch r.Next() {
	case '{':
		return s.object(r)
	case '[':
		return s.array(r)
	case '"':
		return ast.StringTerm(r.Text()), nil
	}
	switch literal := string(r.Literal()); literal {
	case "true", "false":
		return ast.InternedTerm(literal == "true"), nil
	case "null":
		return ast.NullTerm(), nil
	default:
		return ast.NumberTerm(json.Number(literal)), nil
	}
}

func (s *shape) object(r *rawjson.Reader) (*ast.Term, error) {
	terms := make([][2]*ast.Term, 0, min(len(s.properties), 8))
	var seen uint64 // properties, by index
	var others []string
	for first := true; r.More(first); first = false {
		name := r.Name()
		field, known := s.properties[string(name)]
		if known {
			if seen&(1<<field.index) != 0 {
				return nil, fmt.Errorf(".%s: is there twice", name)
			}
			seen |= 1 << field.index
		} else if s.closed {
			r.Skip()
			continue
		} else {
			others = append(others, string(name))
			field = property{ast.StringTerm(others[len(others)-1]), s.values, 0}
		}
		if r.Next() == 'n' {
			r.Skip()
			if known {
				seen &^= 1 << field.index
			}
			if known || s.values.kind != "string" {
				continue // absent, as in the API server's own decoding
			}
			terms = append(terms, [2]*ast.Term{field.key, ast.StringTerm("")}) // which has "" in a map of texts
			continue
		}
		term, err := field.shape.term(r)
		if err != nil {
			return nil, fmt.Errorf(".%s%w", name, err)
		}
		terms = append(terms, [2]*ast.Term{field.key, term})
	}
	for _, name := range s.required {
		if seen&(1<<s.properties[name].index) == 0 {
			return nil, fmt.Errorf(".%s: is missing", name)
		}
	}
	slices.Sort(others)
	if len(slices.Compact(others)) < len(others) {
		return nil, errors.New(": has a field twice")
	}
	return ast.ObjectTerm(terms...), nil
}

func (s *shape) array(r *rawjson.Reader) (*ast.Term, error) {
	var terms []*ast.Term
	for first := true; r.More(first); first = false {
		if r.Next() == 'n' {
			return nil, fmt.Errorf("[%d]: is null", len(terms))
		}
		term, err := s.items.term(r)
		if err != nil {
			return nil, fmt.Errorf("[%d]%w", len(terms), err)
		}
		terms = append(terms, term)
	}
	return ast.ArrayTerm(terms...), nil
}
