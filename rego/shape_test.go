package rego

import (
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
)

// TestEveryField sets every field of a pod that the schema names to every other type,
// which must be an error, and to null, which must be as if it were absent.
func TestEveryField(t *testing.T) {
	engine := newTestEngine(t, files)
	values := map[string]string{
		"object": `{}`, "array": `[]`, "string": `"x"`, "boolean": `true`, "integer": `1`, "number": `1.5`,
	}
	count := 0
	eachField(engine.shape.properties["object"].shape, "", func(path, kind string) {
		count++
		for other, value := range values {
			_, err := engine.Evaluate(t.Context(), podInput(podWith(path, value)))
			if other == kind {
				if err != nil {
					t.Errorf("%s: %s: %v", path, value, err)
				}
				continue
			}
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("is of type %s, not %s", other, kind)) {
				t.Errorf("%s: %s: got error %v, want one about the type %s", path, value, err, kind)
			}
		}
		in := podInput(podWith(path, "null"))
		result, err := engine.Evaluate(t.Context(), in)
		if strings.HasSuffix(path, "[]") {
			if err == nil || !strings.Contains(err.Error(), "is null") {
				t.Errorf("%s: null in a list: %v", path, err)
			}
		} else if err != nil || len(result.Violations) > 0 {
			// No field of the baseline rules is refused for being absent, but the
			// types of profiles, and the names of sysctls.
			if err != nil || !strings.HasSuffix(path, "rofile.type") && !strings.HasSuffix(path, "sysctls[].name") {
				t.Errorf("%s: null: %v, %v", path, result.Violations, err)
			}
		}
	})
	if count < 100 {
		t.Errorf("only %d fields", count)
	}
}

// eachField calls f with the path and type of every field below a shape but spec.
func eachField(s *shape, path string, f func(path, kind string)) {
	for name, field := range s.properties {
		below := strings.TrimPrefix(path+"."+name, ".")
		if below != "spec" {
			f(below, field.shape.kind)
		}
		eachField(field.shape, below, f)
	}
	if s.items.kind != "" {
		f(path+"[]", s.items.kind)
		eachField(s.items, path+"[]", f)
	}
}

// podWith returns a pod with one field of that value: podWith("spec.volumes[].name",
// `"x"`) is {"spec":{"volumes":[{"name":"x"}]}}.
func podWith(path, value string) string {
	for {
		i := strings.LastIndex(path, ".")
		name, list := strings.CutSuffix(path[i+1:], "[]")
		if list {
			value = "[" + value + "]"
		}
		value = fmt.Sprintf("{%q:%s}", name, value)
		if i < 0 {
			break
		}
		path = path[:i]
		if path2, ok := strings.CutSuffix(path, "[]"); ok {
			path, value = path2, "["+value+"]"
		}
	}
	if !strings.HasPrefix(value, `{"spec"`) {
		value = `{"spec":{},` + value[1:]
	}
	return value
}

func TestShape(t *testing.T) {
	shape, err := parseShape([]byte(`{
		"type": "object",
		"required": ["name"],
		"properties": {
			"name": {"type": "string"},
			"count": {"type": "integer"},
			"closed": {"type": "object", "additionalProperties": false, "properties": {"a": {"type": "integer"}}},
			"values": {"type": "object", "additionalProperties": {"$ref": "#/definitions/text"}},
			"list": {"type": "array", "items": {"$ref": "#/definitions/text"}},
			"any": {}
		},
		"definitions": {"text": {"type": "string"}}
	}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		in, want, err string
	}{
		"required":               {in: `{}`, err: ".name: is missing"},
		"null is absent":         {in: `{"name":"x","count":null,"other":null}`, want: `{"name":"x"}`},
		"required and null":      {in: `{"name":null}`, err: ".name: is missing"},
		"type":                   {in: `{"name":1}`, err: ".name: is of type integer, not string"},
		"top":                    {in: `[]`, err: ": is of type array, not object"},
		"integer":                {in: `{"name":"x","count":9007199254740993}`, want: `{"count":9007199254740993,"name":"x"}`},
		"no integer":             {in: `{"name":"x","count":1.0}`, err: ".count: is of type number, not integer"},
		"exponent":               {in: `{"name":"x","count":1e999999999}`, err: ".count: is of type number, not integer"},
		"beyond 64 bits":         {in: `{"name":"x","count":9223372036854775808}`, err: ".count: is of type number, not integer"},
		"open":                   {in: `{"name":"x","other":{"a":[1,"b",{}]}}`, want: `{"name":"x","other":{"a":[1,"b",{}]}}`},
		"closed":                 {in: `{"name":"x","closed":{"a":1,"b":{"c":null}}}`, want: `{"closed":{"a":1},"name":"x"}`},
		"values":                 {in: `{"name":"x","values":{"a":"b"}}`, want: `{"name":"x","values":{"a":"b"}}`},
		"null in a map of texts": {in: `{"name":"x","values":{"a":null}}`, want: `{"name":"x","values":{"a":""}}`},
		"type of a value":        {in: `{"name":"x","values":{"a":1}}`, err: ".values.a: is of type integer, not string"},
		"list":                   {in: `{"name":"x","list":["a"]}`, want: `{"list":["a"],"name":"x"}`},
		"type of an element":     {in: `{"name":"x","list":["a",{}]}`, err: ".list[1]: is of type object, not string"},
		"null in a list":         {in: `{"name":"x","list":[null]}`, err: ".list[0]: is null"},
		"null in an open object": {in: `{"name":"x","other":{"a":[null]}}`, err: ".other.a[0]: is null"},
		"twice":                  {in: `{"name":"x","name":"y"}`, err: ".name: is there twice"},
		"twice, and unknown":     {in: `{"name":"x","other":1,"a":2,"other":1}`, err: ": has a field twice"},
		"any":                    {in: `{"name":"x","any":true}`, want: `{"any":true,"name":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			value, err := rawjson.New([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			term, err := shape.term(value)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("got error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := ast.MustParseTerm(test.want); !want.Equal(term) {
				t.Errorf("got %v, want %v", term, want)
			}
		})
	}
}

func TestParseShapeFails(t *testing.T) {
	for name, schema := range map[string]string{
		"no JSON":                   `{`,
		"unknown definition":        `{"properties":{"a":{"$ref":"#/definitions/none"}}}`,
		"in additionalProperties":   `{"additionalProperties":{"$ref":"#/definitions/none"}}`,
		"in items":                  `{"items":{"$ref":"#/definitions/none"}}`,
		"additionalProperties' own": `{"additionalProperties":{"type":1}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseShape([]byte(schema)); err == nil {
				t.Error("no error")
			}
		})
	}
}
