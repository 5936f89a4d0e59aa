//go:build linux

// Package nfnetlink speaks the netlink protocol of the kernel's netfilter, as far as
// the firewall needs it: requests that are acknowledged, dumps, and nftables' batches.
// It knows the envelope and the attributes; packages nftables, ipset and droplog know
// what is in them. The words are those of linux/netfilter/nfnetlink.h.
//
// It stands beside the library vishvananda/netlink because that has no batches, reads
// no nftables, and sends one ipset member a message: a set of 100,000 would take half
// a second.
package nfnetlink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"

	"golang.org/x/sys/unix"
)

// patience bounds each wait for the kernel, which answers at once.
const patience = 5 // seconds

// ErrInterrupted says that what was dumped changed meanwhile.
var ErrInterrupted = errors.New("the kernel's state changed while it was read")

// header is the length of struct nfgenmsg.
const header = 4

// Message is a request, or an answer.
type Message struct {
	// Type is the subsystem in the high byte and its command in the low one.
	Type  uint16
	Flags uint16
	// Family and Resource are those of struct nfgenmsg.
	Family     uint8
	Resource   uint16
	Attributes Attributes
}

// Conn is a socket in the network namespace of the thread that opened it. It is not
// for concurrent use.
type Conn struct {
	fd     int
	seq    uint32
	buffer []byte
}

// Dial opens a socket.
func Dial() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	timeout := &unix.Timeval{Sec: patience}
	for _, err := range []error{
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, timeout),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, timeout),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	} {
		if err != nil {
			return nil, errors.Join(fmt.Errorf("set up a netlink socket: %w", err), unix.Close(fd))
		}
	}
	// The kernel fills as much as it is given up to 32 KiB; an error repeats the
	// request, which may be as large as an ipset message.
	return &Conn{fd: fd, buffer: make([]byte, 64<<10)}, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Do sends a request and waits until it is done.
func (c *Conn) Do(request Message) error {
	request.Flags |= unix.NLM_F_ACK
	return c.Ask(request, func(Message) error { return nil })
}

// Ask sends a request and hands over each message of the answer, which is valid
// during the call only. A dump ends with ErrInterrupted if it is not of one moment.
func (c *Conn) Ask(request Message, answer func(Message) error) error {
	c.seq++
	request.Flags |= unix.NLM_F_REQUEST
	if err := c.send(c.append(nil, request, c.seq)); err != nil {
		return err
	}
	dump := request.Flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP
	interrupted := false
	for {
		messages, err := c.receive()
		if err != nil {
			return err
		}
		for len(messages) > 0 {
			var head unix.NlMsghdr
			var body []byte
			if head, body, messages, err = next(messages); err != nil {
				return err
			}
			if head.Seq != c.seq {
				continue // of an earlier request that was broken off
			}
			interrupted = interrupted || head.Flags&unix.NLM_F_DUMP_INTR != 0
			switch head.Type {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if err := failure(body); err != nil {
					return err
				}
				if interrupted {
					return ErrInterrupted
				}
				return nil
			}
			if len(body) < header {
				return errors.New("netlink answer cut short")
			}
			if err := answer(Message{Type: head.Type, Flags: head.Flags, Family: body[0], Resource: binary.BigEndian.Uint16(body[2:]), Attributes: body[header:]}); err != nil {
				return err
			}
			if !dump && request.Flags&unix.NLM_F_ACK == 0 {
				return nil
			}
		}
	}
}

// Batch executes nftables requests in one transaction: all or none. Unless
// generation is 0 the transaction fails with unix.ERESTART if the ruleset is of
// another one.
func (c *Conn) Batch(generation uint32, requests ...Message) error {
	envelope := Message{Type: unix.NFNL_MSG_BATCH_BEGIN, Flags: unix.NLM_F_REQUEST, Resource: unix.NFNL_SUBSYS_NFTABLES}
	begin := envelope
	if generation != 0 {
		begin.Attributes = Attributes{}.Uint32(unix.NFNL_BATCH_GENID, generation)
	}
	end := envelope
	end.Type = unix.NFNL_MSG_BATCH_END
	c.seq++
	first := c.seq
	data := c.append(nil, begin, c.seq)
	for _, request := range requests {
		c.seq++
		request.Flags |= unix.NLM_F_REQUEST | unix.NLM_F_ACK
		data = c.append(data, request, c.seq)
	}
	c.seq++
	if err := c.send(c.append(data, end, c.seq)); err != nil {
		return err
	}
	for acknowledged := 0; acknowledged < len(requests); {
		messages, err := c.receive()
		if err != nil {
			return err
		}
		for len(messages) > 0 {
			var head unix.NlMsghdr
			var body []byte
			if head, body, messages, err = next(messages); err != nil {
				return err
			}
			if head.Type != unix.NLMSG_ERROR || head.Seq < first {
				continue
			}
			if err := failure(body); err != nil {
				return err
			}
			acknowledged++
		}
	}
	return nil
}

func (c *Conn) append(data []byte, m Message, seq uint32) []byte {
	data = binary.NativeEndian.AppendUint32(data, uint32(unix.NLMSG_HDRLEN+header+len(m.Attributes)))
	data = binary.NativeEndian.AppendUint16(data, m.Type)
	data = binary.NativeEndian.AppendUint16(data, m.Flags)
	data = binary.NativeEndian.AppendUint32(data, seq)
	data = binary.NativeEndian.AppendUint32(data, 0)
	data = append(data, m.Family, unix.NFNETLINK_V0)
	data = binary.BigEndian.AppendUint16(data, m.Resource)
	return append(data, m.Attributes...) // aligned already, as attributes are
}

func (c *Conn) send(data []byte) error {
	if err := unix.Sendto(c.fd, data, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask the kernel: %w", err)
	}
	return nil
}

func (c *Conn) receive() ([]byte, error) {
	for {
		n, from, err := unix.Recvfrom(c.fd, c.buffer, 0)
		switch sender, _ := from.(*unix.SockaddrNetlink); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return nil, fmt.Errorf("hear the kernel: %w", err)
		case sender != nil && sender.Pid == 0: // nobody but the kernel
			return c.buffer[:n], nil
		}
	}
}

// next cuts the first message off.
func next(messages []byte) (unix.NlMsghdr, []byte, []byte, error) {
	if len(messages) < unix.NLMSG_HDRLEN {
		return unix.NlMsghdr{}, nil, nil, errors.New("netlink answer cut short")
	}
	head := unix.NlMsghdr{
		Len:   binary.NativeEndian.Uint32(messages),
		Type:  binary.NativeEndian.Uint16(messages[4:]),
		Flags: binary.NativeEndian.Uint16(messages[6:]),
		Seq:   binary.NativeEndian.Uint32(messages[8:]),
	}
	if head.Len < unix.NLMSG_HDRLEN || int(head.Len) > len(messages) {
		return head, nil, nil, errors.New("netlink answer cut short")
	}
	return head, messages[unix.NLMSG_HDRLEN:head.Len], messages[min(aligned(int(head.Len)), len(messages)):], nil
}

// failure reads the number that an error or the end of a dump bears.
func failure(body []byte) error {
	if len(body) < 4 {
		return errors.New("netlink answer cut short")
	}
	if code := int32(binary.NativeEndian.Uint32(body)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// Retry repeats a reading while it is interrupted; half a list would be a wrong one.
func Retry(read func() error) error {
	const attempts = 10
	var err error
	for range attempts {
		if err = read(); !errors.Is(err, ErrInterrupted) {
			return err
		}
	}
	return err
}

// Kept is a Conn that is opened when it is first needed and then kept: to close one, the
// kernel first waits until what nftables deleted last is gone, a dozen milliseconds in
// which the guard would not stand. The zero value is ready; it stays with the network
// namespace of the thread that used it first.
type Kept struct{ conn *Conn }

// Talk lends the Conn for a conversation. After one that failed it is another one, but
// for the failures that are answers: nothing of the name, or of another generation.
func (k *Kept) Talk(talk func(*Conn) error) error {
	if k.conn == nil {
		conn, err := Dial()
		if err != nil {
			return err
		}
		k.conn = conn
	}
	err := talk(k.conn)
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ERESTART) {
		err = errors.Join(err, k.conn.Close())
		k.conn = nil
	}
	return err
}

// File makes the socket a file, for messages that come unasked; the Conn is none any
// longer.
func (c *Conn) File() (*os.File, error) {
	if err := unix.SetNonblock(c.fd, true); err != nil { // or Close would not end a Read
		return nil, errors.Join(fmt.Errorf("set up a netlink socket: %w", err), c.Close())
	}
	return os.NewFile(uintptr(c.fd), "netlink"), nil
}

// Messages are those that a Read of such a file gave.
func Messages(data []byte) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for len(data) > 0 {
			head, body, rest, err := next(data)
			if err != nil || len(body) < header {
				return
			}
			data = rest
			if !yield(Message{Type: head.Type, Flags: head.Flags, Family: body[0], Resource: binary.BigEndian.Uint16(body[2:]), Attributes: body[header:]}) {
				return
			}
		}
	}
}

// Overrun says that the kernel had more to say than the socket holds.
func Overrun(err error) bool { return errors.Is(err, unix.ENOBUFS) }
