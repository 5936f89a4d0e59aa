package rawjson

import (
	"encoding/binary"
	"math/bits"
)

// maxDepth is how deep values may lie in each other, as for encoding/json.
const maxDepth = 10000

// invalid is where no value ends.
const invalid = -1

// valid tells whether the data is one JSON value, as [encoding/json.Valid] does, which
// takes a call of a function for each byte and several times as long. It also tells
// where the largest of the members of members is, such as the object of a review.
func valid(data []byte) (ok bool, largest span) {
	end := value(data, 0, 0, &largest)
	return end != invalid && afterSpace(data, end) == len(data), largest
}

// span is where a value begins, and where it ends; the zero one is of none.
type span struct{ start, end int }

// value is where the value ends that begins at that place or after white space.
func value(data []byte, at, depth int, largest *span) (end int) {
	at = afterSpace(data, at)
	if at == len(data) {
		return invalid
	}
	switch data[at] {
	case '"':
		return text(data, at)
	case '{':
		return members(data, at, depth+1, largest)
	case '[':
		return elements(data, at, depth+1, largest)
	case 't':
		return literal(data, at, "true")
	case 'f':
		return literal(data, at, "false")
	case 'n':
		return literal(data, at, "null")
	}
	return number(data, at)
}

func members(data []byte, at, depth int, largest *span) (end int) {
	if depth > maxDepth {
		return invalid
	}
	at = afterSpace(data, at+1)
	if at < len(data) && data[at] == '}' {
		return at + 1
	}
	for at < len(data) && data[at] == '"' {
		if at = text(data, at); at == invalid {
			return invalid
		}
		if at = afterSpace(data, at); at == len(data) || data[at] != ':' {
			return invalid
		}
		start := afterSpace(data, at+1)
		if at = value(data, start, depth, largest); at == invalid {
			return invalid
		}
		if depth == 2 && at-start > largest.end-largest.start {
			*largest = span{start, at}
		}
		switch at = afterSpace(data, at); {
		case at < len(data) && data[at] == ',':
			at = afterSpace(data, at+1)
		case at < len(data) && data[at] == '}':
			return at + 1
		default:
			return invalid
		}
	}
	return invalid
}

func elements(data []byte, at, depth int, largest *span) (end int) {
	if depth > maxDepth {
		return invalid
	}
	at = afterSpace(data, at+1)
	if at < len(data) && data[at] == ']' {
		return at + 1
	}
	for {
		if at = value(data, at, depth, largest); at == invalid {
			return invalid
		}
		switch at = afterSpace(data, at); {
		case at < len(data) && data[at] == ',':
			at++
		case at < len(data) && data[at] == ']':
			return at + 1
		default:
			return invalid
		}
	}
}

func text(data []byte, at int) (end int) {
	for at = special(data, at+1); at < len(data); at = special(data, at+1) {
		switch {
		case data[at] == '"':
			return at + 1
		case data[at] != '\\':
			return invalid // a control character
		}
		if at = escape(data, at+1); at == invalid {
			return invalid
		}
	}
	return invalid
}

// escape is where the last byte is of what comes after a backslash.
func escape(data []byte, at int) (last int) {
	if at == len(data) {
		return invalid
	}
	switch data[at] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return at
	case 'u':
		if len(data)-at < 5 {
			return invalid
		}
		for _, digit := range data[at+1 : at+5] {
			if lower := digit | 0x20; !isDigit(digit) && (lower < 'a' || lower > 'f') {
				return invalid
			}
		}
		return at + 4
	}
	return invalid
}

func literal(data []byte, at int, word string) (end int) {
	if end = at + len(word); end > len(data) || string(data[at:end]) != word {
		return invalid
	}
	return end
}

func number(data []byte, at int) (end int) {
	if data[at] == '-' {
		at++
	}
	end = afterDigits(data, at)
	if end == at || data[at] == '0' && end > at+1 {
		return invalid
	}
	if end < len(data) && data[end] == '.' {
		at = end + 1
		if end = afterDigits(data, at); end == at {
			return invalid
		}
	}
	if end < len(data) && data[end]|0x20 == 'e' {
		at = end + 1
		if at < len(data) && (data[at] == '+' || data[at] == '-') {
			at++
		}
		if end = afterDigits(data, at); end == at {
			return invalid
		}
	}
	return end
}

func afterDigits(data []byte, at int) int {
	for at < len(data) && isDigit(data[at]) {
		at++
	}
	return at
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func afterSpace(data []byte, at int) int {
	for at < len(data) && isSpace(data[at]) {
		at++
	}
	return at
}

func isSpace(b byte) bool { return b <= ' ' && (b == ' ' || b == '\t' || b == '\r' || b == '\n') }

// special is where in a text the first byte is that is a quote, a backslash or a
// control character, or where the data end. Eight bytes at a time are looked at: of a
// byte less a bound, and not of the byte, the top bit is set where the byte is below the
// bound, or above such a one, which is then the first (Hacker's Delight, 6-1).
func special(data []byte, at int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; at+8 <= len(data); at += 8 {
		eight := binary.LittleEndian.Uint64(data[at:])
		quote, backslash := eight^(ones*'"'), eight^(ones*'\\')
		found := ((eight-ones*' ')&^eight | (quote-ones)&^quote | (backslash-ones)&^backslash) & tops
		if found != 0 {
			return at + bits.TrailingZeros64(found)/8
		}
	}
	for at < len(data) && data[at] >= ' ' && data[at] != '"' && data[at] != '\\' {
		at++
	}
	return at
}
