//go:build linux

package nfnetlink

import (
	"bytes"
	"testing"
)

func TestAttributes(t *testing.T) {
	written := Attributes{}.Uint8(1, 7).Uint16(2, 0x0102).Uint32(3, 0x01020304).String(4, "filter").
		Nested(5, Attributes{}.Bytes(1, []byte("abc")).Bytes(2, nil))
	if len(written)%4 != 0 {
		t.Errorf("%d bytes are not aligned", len(written))
	}
	if got := written.Find(1).Number(); got != 7 {
		t.Errorf("Uint8: %d", got)
	}
	if got := written.Find(2).Number(); got != 0x0102 {
		t.Errorf("Uint16: %#x", got)
	}
	if got := written.Find(3).Number(); got != 0x01020304 {
		t.Errorf("Uint32: %#x", got)
	}
	if got := written.Find(4).Text(); got != "filter" {
		t.Errorf("String: %q", got)
	}
	if got := written.Find(5).Find(1); !bytes.Equal(got, []byte("abc")) {
		t.Errorf("Nested: %q", got)
	}
	if got := written.Find(6); got != nil || got.Number() != 0 || got.Text() != "" {
		t.Errorf("nothing: %q", got)
	}
}

// FuzzMessages: whatever comes over the socket is read within its bounds, and ends.
func FuzzMessages(f *testing.F) {
	f.Add((&Conn{}).append(nil, Message{Type: 0xa00, Attributes: Attributes{}.String(1, "filter").Nested(2, Attributes{}.Uint32(1, 1))}, 1))
	f.Add([]byte{16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		read := 0
		for message := range Messages(data) {
			for _, attribute := range message.Attributes.All() {
				for range attribute.All() {
					read++
				}
				read += len(attribute)
			}
		}
		if read > 2*len(data) {
			t.Errorf("read %d bytes of %d", read, len(data))
		}
	})
}
