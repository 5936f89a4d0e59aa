package rawjson

import (
	"encoding/json"
	"strings"
	"testing"
)

// Texts that are JSON, and that are nearly.
var texts = []string{
	``, ` `, `{}`, `[]`, "\t{ } \r\n", `[ ]`, `{"a":1}`, ` { "a" : [ 1 , "b" , { } ] , "c" : null } `, `{"a":1,}`, `{,}`, `[1,]`, `[,]`, `[1 2]`,
	`{"a"}`, `{"a" 1}`, `{"a":}`, `{a:1}`, `{"a":1`, `[1`, `{"a":1]`, `[1}`, `{}{}`, `[] 1`, `1 1`, `{"a":1 "b":2}`, `{1:2}`, "\f1", "[\v1]", "[1]\x00", "\ufeff1",
	`true`, `false`, `null`, `tru`, `nul`, `truex`, `[true,false,null]`, `True`, `nulll`, `-`, `+1`, `0`, `-0`, `00`, `01`, `-01`, `1.`, `.1`, `1.5`, `0.0`,
	`1e`, `1e+`, `1e5`, `1E-5`, `1.5e+10`, `1e5.5`, `0e0`, `0x1`, `1a`, `-a`, `NaN`, `1,`, `[0e]`, `[1.]`, `[-]`, `{"a":-}`,
	`"`, `""`, `"a`, `"\"`, `"\""`, `"\\"`, `"\/\b\f\n\r\t"`, `"\a"`, `"\u0041"`, `"\u004"`, `"\u004g"`, `"\u00"`, `"\uDEAD"`, `"\u`, `"\U0041"`, `"\`, `'a'`,
	"\"\x1f\"", "\"\x20\x7f\"", "\"\xff\x80\"", "\"é\U0001F600\"", "\"1234567\n\"", "\"12345678\n\"", "\"\x00\"", `"12345678\`, `"1234567\"`, `"1234567\""`,
	`"aaaaaaaaaaaaaaaaaaaaaaaa"`, `"!!!!!!!!"`, `"########[[[[[[[[]]]]]]]]"`, `{"aaaaaaaa":"bbbbbbbb\\","c":"\\\\\\\""}`,
	"\"\xa2\xdc\x9f\xa2\xdc\x9f\xa2\xdc\"", // quote, backslash and control character with the top bit
	`{"a":{"b":1,"c":[{"d":"}"}, 2 ]},"e":{"f": {"g":[1,2,3,{"h":"]"}]} ,"i":"aaaaaaaaaaaaaaaaaaaaaaaa"},"j":[{"k":[[[[[[[[[[[[]]]]]]]]]]]]}]}`,
	`[[{"a":[1,2,{"b":"c"}],"b":[1]},{"a":{"b":"cccc"}}],{"a":{"b":{"c":{"d":"e"}}}}]`, ` {"a": {"b":""} }`, `{"a":{"b":"x","b":"yy"}}`,
	strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1),
	strings.Repeat(`{"a":`, maxDepth) + "1" + strings.Repeat("}", maxDepth), strings.Repeat(`{"a":`, maxDepth+1) + "1" + strings.Repeat("}", maxDepth+1),
}

// check holds what is valid, and where texts end, against encoding/json.
func check(t *testing.T, data []byte) {
	got, err := New(data)
	if want := json.Valid(data); (err == nil) != want {
		t.Fatalf("valid %v (%v), want %v: %q", err == nil, err, want, data)
	}
	if err != nil {
		return
	}
	if len(data) < 1000 { // takes its square
		same(t, got, Of(data))
	}
	got.Skip()
	if rest := strings.TrimSpace(string(data[got.Pos():])); rest != "" {
		t.Errorf("passed over all but %q of %q", rest, data)
	}
	var text string
	if value := Of(data); value.Next() == '"' && json.Unmarshal(data, &text) == nil {
		if got := value.Text(); got != text {
			t.Errorf("text %q, want %q: %q", got, text, data)
		}
	}
}

// same holds a reader that knows where some value ends against one that does not.
func same(t *testing.T, knows, other *Reader) {
	if knows, other := string(knows.Raw()), string(other.Raw()); knows != other {
		t.Fatalf("%q, want %q", knows, other)
	}
	k, o := *knows, *other
	more := func(first bool) bool {
		more := o.More(first)
		if k.More(first) != more || k.Pos() != o.Pos() {
			t.Fatalf("at %d, want %d: %q", k.Pos(), o.Pos(), o.data)
		}
		return more
	}
	isObject := o.Next() == '{'
	if !isObject && o.Next() != '[' {
		return
	}
	for first := true; more(first); first = false {
		if isObject {
			k.Name()
			o.Name()
		}
		same(t, &k, &o)
		k.Skip()
		o.Skip()
	}
}

func TestValid(t *testing.T) {
	for _, text := range texts {
		check(t, []byte(text))
		// At every place in a word of eight bytes.
		for n := range 9 {
			check(t, []byte(strings.Repeat(" ", n)+text+strings.Repeat(" ", 9-n)))
			check(t, []byte(`["`+strings.Repeat("a", n)+`",`+text+`]`))
		}
	}
	// Every byte at every place of a text.
	for at := range 17 {
		for b := range 256 {
			text := []byte(`"` + strings.Repeat("a", 17) + `"`)
			text[1+at] = byte(b)
			check(t, text)
		}
	}
}

func FuzzValid(f *testing.F) {
	for _, text := range texts[:len(texts)-4] {
		f.Add([]byte(text))
	}
	f.Fuzz(check)
}

func BenchmarkNew(b *testing.B) {
	data := []byte(`{"kind":"Pod","metadata":{"name":"web-5d4f8-abcde","labels":{"app":"web","pod-template-hash":"5d4f8"}},"spec":{"containers":[` +
		strings.TrimSuffix(strings.Repeat(`{"name":"web","image":"registry.example/web:1.2.3","ports":[{"containerPort":8080,"protocol":"TCP"}],`+
			`"env":[{"name":"CONFIG","value":"{\"version\":\"v1\",\"peers\":[\"172.16.1.0/24\"]}"}],"resources":{"limits":{"cpu":"1"}},`+
			`"securityContext":{"privileged":false,"runAsUser":0}},`, 10), ",") + `]}}`)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := New(data); err != nil {
			b.Fatal(err)
		}
	}
}
