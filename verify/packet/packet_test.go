package packet

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestIPv4UDP holds the bytes to what tcpdump shows of a datagram with these fields.
func TestIPv4UDP(t *testing.T) {
	got := IPv4UDP(netip.MustParseAddrPort("172.16.1.2:7000"), netip.MustParseAddrPort("172.16.2.3:8000"), []byte("hi"))
	want := []byte{
		0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0x1f, 0xaa, 172, 16, 1, 2, 172, 16, 2, 3,
		0x1b, 0x58, 0x1f, 0x40, 0, 10, 0, 0, 'h', 'i',
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):\n", diff)
	}
	if sum := Checksum(got[:20]); sum != 0 {
		t.Errorf("the header with its checksum sums up to %#x, not 0", sum)
	}
}

// TestChecksum is the example of RFC 1071, section 3.
func TestChecksum(t *testing.T) {
	if got := Checksum([]byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != ^uint16(0xddf2) {
		t.Errorf("%#x", got)
	}
}
