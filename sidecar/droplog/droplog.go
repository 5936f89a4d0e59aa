//go:build linux

// Package droplog tells of packets that the firewall dropped, one line for each flow.
// The rules hand the first bytes of such packets to the kernel's nfnetlink_log
// (NFLOG) at a bounded rate; what comes from there is bounded again: a flow is told
// when it is first seen and, if it went on, once a minute.
//
//	kernel ──NFLOG──► Listen ──packet──► Flow ──► Log ──► one JSON line
//
// Nobody but this network namespace hears or fills the group. What is lost between is
// lost to the log alone: the rules' counters hold the sums.
package droplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// The words of linux/netfilter/nfnetlink_log.h.
const (
	subsystem  = 4
	msgPacket  = 0
	msgConfig  = 1
	cfgCommand = 1
	cfgMode    = 2
	cfgTimeout = 4
	bind       = 1
	copyPacket = 2

	attrHeader  = 1
	attrPayload = 9
	attrPrefix  = 10
)

// enough of a packet to hold the addresses and ports.
const enough = 128

// delay is how long the kernel gathers packets, in hundredths of a second.
const delay = 10

// Listen opens a group of the network namespace of the calling thread. Its file gives
// one or more messages at each Read.
func Listen(group uint16) (*os.File, error) {
	conn, err := nfnetlink.Dial()
	if err != nil {
		return nil, err
	}
	mode := binary.BigEndian.AppendUint32(nil, enough)
	err = conn.Do(nfnetlink.Message{
		Type:     subsystem<<8 | msgConfig,
		Resource: group,
		Attributes: nfnetlink.Attributes{}.
			Bytes(cfgCommand, []byte{bind}).
			Bytes(cfgMode, append(mode, copyPacket, 0)).
			Uint32(cfgTimeout, delay),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen to dropped packets, group %d: %w", group, err), conn.Close())
	}
	return conn.File()
}

// Available says whether the kernel can log to a group. If another process listens to
// it already, it can: to whoever has NET_ADMIN the kernel says EPERM only then. An
// error is no answer.
func Available(group uint16) (bool, error) {
	file, err := Listen(group)
	switch {
	case errors.Is(err, unix.EPERM):
		return true, nil
	case nfnetlink.Unsupported(err):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, file.Close()
}

// Flow is what packets have in common that are told of once.
type Flow struct {
	Direction protocol.Direction
	// Reason is the threat's id and a word.
	Reason              string
	Source, Destination netip.Addr
	// Protocol is the number of IANA, Port that of the receiver, 0 if there is
	// none.
	Protocol uint8
	Port     uint16
}

// flow reads a message of the kernel's.
func flow(m nfnetlink.Message) (Flow, bool) {
	header, payload := m.Attributes.Find(attrHeader), m.Attributes.Find(attrPayload)
	if m.Type != subsystem<<8|msgPacket || len(header) < 3 {
		return Flow{}, false
	}
	found := Flow{Reason: m.Attributes.Find(attrPrefix).Text()}
	switch header[2] {
	case unix.NF_INET_LOCAL_IN:
		found.Direction = protocol.In
	case unix.NF_INET_FORWARD:
		found.Direction = protocol.Forward
	default:
		found.Direction = protocol.Out
	}
	return found, found.read(payload)
}

// read reads the IP header; of one that is cut short or of no known version nothing.
func (f *Flow) read(packet []byte) bool {
	var rest []byte
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		f.Source, f.Destination = netip.AddrFrom4([4]byte(packet[12:16])), netip.AddrFrom4([4]byte(packet[16:20]))
		f.Protocol = packet[9]
		fragment := binary.BigEndian.Uint16(packet[6:])&0x1fff != 0
		if length := int(packet[0]&0xf) * 4; !fragment && length <= len(packet) {
			rest = packet[length:]
		}
	case len(packet) >= 40 && packet[0]>>4 == 6:
		f.Source, f.Destination = netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40]))
		f.Protocol, rest = packet[6], packet[40:]
	default:
		return false
	}
	switch f.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		if len(rest) >= 4 {
			f.Port = binary.BigEndian.Uint16(rest[2:])
		}
	}
	return true
}
