package rego

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// reader stands before a value in JSON that is known to be valid. It decodes only what
// it is asked for: most of an object is nothing that a rule reads.
type reader struct {
	data []byte
	pos  int
}

// newReader checks that the data is one JSON value.
func newReader(data []byte) (*reader, error) {
	if !json.Valid(data) {
		return nil, json.Unmarshal(data, new(json.RawMessage))
	}
	return &reader{data: data}, nil
}

// next is the first byte of the value, after white space.
func (r *reader) next() byte {
	for {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return r.data[r.pos]
		}
	}
}

// kind is JSON Schema's name of the value's type.
func (r *reader) kind() string {
	switch r.next() {
	case '{':
		return "object"
	case '[':
		return "array"
	case '"':
		return "string"
	case 't', 'f':
		return "boolean"
	case 'n':
		return "null"
	}
	number := *r
	if _, err := strconv.ParseInt(string(number.literal()), 10, 64); err == nil {
		return "integer"
	}
	return "number"
}

// literal reads true, false, null or a number.
func (r *reader) literal() []byte {
	r.next()
	start := r.pos
	for r.pos < len(r.data) {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n', ',', ']', '}', ':':
			return r.data[start:r.pos]
		}
		r.pos++
	}
	return r.data[start:]
}

// quoted reads a text as it is written, and tells whether that is also its value.
func (r *reader) quoted() (text []byte, plain bool) {
	r.next()
	start := r.pos
	plain = true
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] == '\\' {
			plain = false
			r.pos++
		}
	}
	r.pos++
	return r.data[start:r.pos], plain
}

// text reads a text.
func (r *reader) text() string {
	text, plain := r.quoted()
	if inner := text[1 : len(text)-1]; plain && utf8.Valid(inner) {
		return string(inner)
	}
	var decoded string
	if err := json.Unmarshal(text, &decoded); err != nil {
		panic(err) // it is valid
	}
	return decoded
}

// skip passes over the value.
func (r *reader) skip() {
	switch r.next() {
	case '"':
		r.quoted()
	case '{', '[':
		for depth := 0; ; {
			switch r.data[r.pos] {
			case '{', '[':
				depth++
				r.pos++
			case '}', ']':
				depth--
				r.pos++
			case '"':
				r.quoted()
			default:
				r.pos++
			}
			if depth == 0 {
				return
			}
		}
	default:
		r.literal()
	}
}

// raw is the value as it is written.
func (r *reader) raw() []byte {
	after := *r
	after.next()
	start := after.pos
	after.skip()
	return after.data[start:after.pos]
}

// more goes on to an object's next member or an array's next element, and tells whether
// there is one. The first call enters, and comes back from, the value.
func (r *reader) more(first bool) bool {
	if first {
		r.next()
		r.pos++
	}
	switch r.next() {
	case '}', ']':
		r.pos++
		return false
	case ',':
		r.pos++
	}
	return true
}

// name reads a member's name and stops before its value.
func (r *reader) name() []byte {
	text, plain := r.quoted()
	name := text[1 : len(text)-1]
	if !plain || !utf8.Valid(name) {
		again := reader{data: text}
		name = []byte(again.text())
	}
	r.next()
	r.pos++ // the colon
	return name
}

// member returns a reader of the value at the end of the path of names; nil if there is
// none.
func (r *reader) member(path ...string) *reader {
	at := *r
	for _, name := range path {
		if at.next() != '{' {
			return nil
		}
		found := false
		for first := true; !found && at.more(first); first = false {
			if found = string(at.name()) == name; !found {
				at.skip()
			}
		}
		if !found {
			return nil
		}
	}
	return &at
}

// members is the number of an object's members; of another value 0.
func (r *reader) members() int {
	if r.next() != '{' {
		return 0
	}
	count := 0
	each := *r
	for first := true; each.more(first); first = false {
		each.quoted()
		each.next()
		each.pos++ // the colon
		each.skip()
		count++
	}
	return count
}

// elements returns readers of an array's elements, at most that many; of another value
// none. A nil reader has none.
func (r *reader) elements(most int) []*reader {
	if r == nil || r.next() != '[' {
		return nil
	}
	var all []*reader
	each := *r
	for first := true; len(all) < most && each.more(first); first = false {
		element := each
		all = append(all, &element)
		each.skip()
	}
	return all
}
