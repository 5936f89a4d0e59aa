package rego

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/bulkhead-dev/bulkhead/internal/rawjson"
)

// FuzzTerm holds the reader of terms to encoding/json: what the one refuses the other does, and
// what it takes has the same value, but for what a shape leaves out or refuses.
func FuzzTerm(f *testing.F) {
	f.Add(string(readPod(f)))
	for _, seed := range []string{
		`{}`, `[]`, `""`, `null`, ` true `, `-1.5e+3`, `{"a":{"b":[1,"x",false,{}]},"c":null}`, "{\"a\\u0062\":\"\\ud83d\\ude00\\n\\\\\"}",
		`{"a":1,"a":2}`, `{"a":null,"a":[]}`, `[null]`, `{"\\":"\""}`, "\"\xff\"", "{\"\xff\":1}", `[[[[]]],{"]":"}"}]`, ` { "a" : [ 1 , 2 ] } x`,
	} {
		f.Add(seed)
	}
	anything, err := parseShape([]byte(`{}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		decoder := json.NewDecoder(strings.NewReader(text))
		decoder.UseNumber()
		var decoded any
		decodeErr := json.Unmarshal([]byte(text), new(json.RawMessage))
		if decodeErr == nil {
			if err := decoder.Decode(&decoded); err != nil {
				t.Fatal(err)
			}
		}
		value, err := rawjson.New([]byte(text))
		if (err == nil) != (decodeErr == nil) {
			t.Fatalf("reader: %v, encoding/json: %v", err, decodeErr)
		}
		if err != nil {
			return
		}
		skipped := *value
		skipped.Skip()
		if rest := strings.TrimLeft(text[skipped.Pos():], " \t\r\n"); rest != "" {
			t.Errorf("skip leaves %q", rest)
		}
		term, err := anything.term(value)
		if err != nil {
			if !strings.Contains(err.Error(), "is null") && !strings.Contains(err.Error(), "twice") {
				t.Error(err)
			}
			return
		}
		if value.Pos() != skipped.Pos() {
			t.Errorf("term ends at %d, skip at %d", value.Pos(), skipped.Pos())
		}
		if strings.Contains(text, "null") {
			return // left out
		}
		want, err := ast.InterfaceToValue(decoded)
		if err != nil {
			t.Fatal(err)
		}
		if want.Compare(term.Value) != 0 {
			t.Errorf("got %v, want %v", term, want)
		}
	})
}
