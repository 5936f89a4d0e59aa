// Package rawjson reads JSON that is known to be valid, without decoding what nobody
// asks for: most of a Kubernetes object is nothing that a rule reads.
package rawjson

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Reader stands before a value in JSON that is known to be valid. It decodes only what
// it is asked for: most of an object is nothing that a rule reads.
type Reader struct {
	data    []byte
	pos     int
	largest span // a value whose end is known
}

// New checks that the data is one JSON value.
func New(data []byte) (*Reader, error) {
	ok, largest := valid(data)
	if !ok {
		return nil, json.Unmarshal(data, new(json.RawMessage))
	}
	return &Reader{data: data, largest: largest}, nil
}

// Of reads one JSON value that is valid. Of anything else reading may panic or not end.
func Of(data []byte) *Reader { return &Reader{data: data} }

// Pos is how many bytes of the JSON are behind the reader.
func (r *Reader) Pos() int { return r.pos }

// Next is the first byte of the value, after white space.
func (r *Reader) Next() byte {
	for {
		switch r.data[r.pos] {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return r.data[r.pos]
		}
	}
}

// Kind is JSON Schema's name of the value's type.
func (r *Reader) Kind() string {
	switch r.Next() {
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
	if _, err := strconv.ParseInt(string(number.Literal()), 10, 64); err == nil {
		return "integer"
	}
	return "number"
}

// Literal reads true, false, null or a number.
func (r *Reader) Literal() []byte {
	r.Next()
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

// Quoted reads a text as it is written, and tells whether that is also its value.
func (r *Reader) Quoted() (text []byte, plain bool) {
	r.Next()
	start := r.pos
	r.pos, plain = quoteEnd(r.data, start)
	return r.data[start:r.pos], plain
}

// quoteEnd is where the text ends whose first quote is at the start.
func quoteEnd(data []byte, start int) (end int, plain bool) {
	plain = true
	for end = special(data, start+1); data[end] != '"'; end = special(data, end+2) {
		plain = false // it is a backslash, and what it stands before is no end
	}
	return end + 1, plain
}

// Text reads a text.
func (r *Reader) Text() string {
	text, plain := r.Quoted()
	if inner := text[1 : len(text)-1]; plain && utf8.Valid(inner) {
		return string(inner)
	}
	var decoded string
	if err := json.Unmarshal(text, &decoded); err != nil {
		panic(err) // it is valid
	}
	return decoded
}

// Skip passes over the value.
func (r *Reader) Skip() {
	switch first := r.Next(); {
	case r.pos == r.largest.start && r.pos > 0:
		r.pos = r.largest.end
	case first == '"':
		r.Quoted()
	case first == '{' || first == '[':
		r.pos = bracketEnd(r.data, r.pos)
	default:
		r.Literal()
	}
}

// bracketEnd is where the object or array ends whose first bracket is at the start.
func bracketEnd(data []byte, start int) int {
	depth := 0
	for at := start; ; at++ {
		switch data[at] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
		case '"':
			at, _ = quoteEnd(data, at)
			at-- // the loop goes on from there
		}
	}
}

// Raw is the value as it is written.
func (r *Reader) Raw() []byte {
	after := *r
	after.Next()
	start := after.pos
	after.Skip()
	return after.data[start:after.pos]
}

// More goes on to an object's next member or an array's next element, and tells whether
// there is one. The first call enters, and comes back from, the value.
func (r *Reader) More(first bool) bool {
	if first {
		r.Next()
		r.pos++
	}
	switch r.Next() {
	case '}', ']':
		r.pos++
		return false
	case ',':
		r.pos++
	}
	return true
}

// Name reads a member's name and stops before its value.
func (r *Reader) Name() []byte {
	name, plain := r.QuotedName()
	if inner := name[1 : len(name)-1]; plain && utf8.Valid(inner) {
		return inner
	}
	return []byte(Of(name).Text())
}

// QuotedName reads a member's name as it is written, stops before its value, and tells
// whether the name is plain.
func (r *Reader) QuotedName() (name []byte, plain bool) {
	name, plain = r.Quoted()
	r.Next()
	r.pos++ // the colon
	return name, plain
}

// Member returns a reader of the value at the end of the path of names; nil if there is
// none.
func (r *Reader) Member(path ...string) *Reader {
	at := *r
	for _, name := range path {
		if at.Next() != '{' {
			return nil
		}
		found := false
		for first := true; !found && at.More(first); first = false {
			if found = string(at.Name()) == name; !found {
				at.Skip()
			}
		}
		if !found {
			return nil
		}
	}
	return &at
}

// Members is the number of an object's members; of another value 0.
func (r *Reader) Members() int {
	if r.Next() != '{' {
		return 0
	}
	count := 0
	each := *r
	for first := true; each.More(first); first = false {
		each.QuotedName()
		each.Skip()
		count++
	}
	return count
}

// Elements returns readers of an array's elements, at most that many; of another value
// none. A nil reader has none.
func (r *Reader) Elements(most int) []*Reader {
	if r == nil || r.Next() != '[' {
		return nil
	}
	var all []*Reader
	each := *r
	for first := true; len(all) < most && each.More(first); first = false {
		element := each
		all = append(all, &element)
		each.Skip()
	}
	return all
}
