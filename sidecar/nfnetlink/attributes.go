//go:build linux

package nfnetlink

import (
	"bytes"
	"encoding/binary"
	"iter"

	"golang.org/x/sys/unix"
)

// Attributes are netlink attributes one behind the other, as they go over the
// socket. Numbers are big-endian: all of netfilter's are.
type Attributes []byte

// Bytes appends an attribute.
func (a Attributes) Bytes(kind uint16, value []byte) Attributes {
	a = binary.NativeEndian.AppendUint16(a, uint16(unix.SizeofNlAttr+len(value)))
	a = binary.NativeEndian.AppendUint16(a, kind)
	a = append(a, value...)
	return append(a, make([]byte, aligned(len(value))-len(value))...)
}

// Nested appends an attribute that holds others.
func (a Attributes) Nested(kind uint16, inner Attributes) Attributes {
	return a.Bytes(kind|unix.NLA_F_NESTED, inner)
}

// String appends a text, which ends with a zero.
func (a Attributes) String(kind uint16, value string) Attributes {
	return a.Bytes(kind, append([]byte(value), 0))
}

// Uint8 appends a number.
func (a Attributes) Uint8(kind uint16, value uint8) Attributes { return a.Bytes(kind, []byte{value}) }

// Uint16 appends a number.
func (a Attributes) Uint16(kind uint16, value uint16) Attributes {
	return a.Bytes(kind, binary.BigEndian.AppendUint16(nil, value))
}

// Uint32 appends a number.
func (a Attributes) Uint32(kind uint16, value uint32) Attributes {
	return a.Bytes(kind, binary.BigEndian.AppendUint32(nil, value))
}

// All are the attributes with their kinds, without the kinds' flags. It ends where
// the bytes make no sense.
func (a Attributes) All() iter.Seq2[uint16, Attributes] {
	return func(yield func(uint16, Attributes) bool) {
		rest := a
		for len(rest) >= unix.SizeofNlAttr {
			length := int(binary.NativeEndian.Uint16(rest))
			if length < unix.SizeofNlAttr || length > len(rest) {
				return
			}
			kind := binary.NativeEndian.Uint16(rest[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
			if !yield(kind, rest[unix.SizeofNlAttr:length]) {
				return
			}
			rest = rest[min(aligned(length), len(rest)):]
		}
	}
}

// Find returns the first attribute of a kind, or nil.
func (a Attributes) Find(kind uint16) Attributes {
	for found, value := range a.All() {
		if found == kind {
			return value
		}
	}
	return nil
}

// Text reads an attribute that String wrote.
func (a Attributes) Text() string {
	text, _, _ := bytes.Cut(a, []byte{0})
	return string(text)
}

// Number reads a big-endian number of up to eight bytes; of none it is 0.
func (a Attributes) Number() uint64 {
	var number uint64
	for _, b := range a[:min(8, len(a))] {
		number = number<<8 | uint64(b)
	}
	return number
}

func aligned(length int) int { return (length + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
