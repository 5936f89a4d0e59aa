// Package packet writes packets as an attacker forges them: for the probe of `bulkhead verify`, and for the tests that
// send the same in network namespaces.
package packet

import (
	"encoding/binary"
	"net/netip"
)

const udp = 17 // IANA's number of the protocol

// IPv4UDP is a whole IPv4 packet with a UDP datagram in it (RFC 791, RFC 768). Both addresses must be IPv4.
func IPv4UDP(from, to netip.AddrPort, payload []byte) []byte {
	length := 28 + len(payload)
	packet := make([]byte, 28, length)
	packet[0] = 0x45 // version 4, five words of header
	binary.BigEndian.PutUint16(packet[2:], uint16(length))
	packet[8], packet[9] = 64, udp
	source, destination := from.Addr().As4(), to.Addr().As4()
	copy(packet[12:], source[:])
	copy(packet[16:], destination[:])
	binary.BigEndian.PutUint16(packet[10:], Checksum(packet[:20]))
	binary.BigEndian.PutUint16(packet[20:], from.Port())
	binary.BigEndian.PutUint16(packet[22:], to.Port())
	binary.BigEndian.PutUint16(packet[24:], uint16(8+len(payload))) // checksum 0: none
	return append(packet, payload...)
}

// Checksum is the Internet's checksum (RFC 1071) of an even number of bytes.
func Checksum(data []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(data); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
