//go:build linux

// Package ipset reads and writes the kernel's sets of prefixes (type hash:net) by
// netlink, many members a message: 100,000 are there in a twentieth of a second. Its
// protocol is that of linux/netfilter/ipset/ip_set.h.
package ipset

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// The subsystem, its commands and attributes.
const (
	subsystem = 6
	protocol  = 6
	// revision of hash:net: the oldest that has all we need is in every kernel
	// since 3.11.
	revision = 3

	cmdCreate  = 2
	cmdDestroy = 3
	cmdSwap    = 6
	cmdList    = 7
	cmdAdd     = 9
	cmdDel     = 10

	attrProtocol = 1
	attrName     = 2
	attrType     = 3 // and the other set's name
	attrRevision = 4
	attrFamily   = 5
	attrData     = 7
	attrADT      = 8
	attrLine     = 9

	dataAddress = 1
	dataBits    = 3
	dataTimeout = 6
	dataFlags   = 8
	dataMaximum = 19

	flagException = 4 // IPSET_FLAG_NOMATCH

	addressIPv4 = 1
	addressIPv6 = 2
)

// hashNet is the type of the sets.
const hashNet = "hash:net"

// Maximum is how many members a set may have; it costs nothing until they are there.
const Maximum = 1 << 20

// portion is how many members go into a message of at most 64 KiB, which a
// netlink attribute can hold.
const portion = 1000

// Set is a set as it was read.
type Set struct {
	// Kind is the type and family, such as "hash:net IPv4".
	Kind    string
	Members []netip.Prefix
	// Exceptions ("nomatch") are not in the set, though a larger member holds them.
	Exceptions []netip.Prefix
	// Odd says that there are members of a form that Bulkhead does not write, such
	// as ones that expire.
	Odd bool
}

// Kind is that of the sets that Create makes.
func Kind(ipv6 bool) string {
	if ipv6 {
		return hashNet + " IPv6"
	}
	return hashNet + " IPv4"
}

// Sets are those of the network namespace of the thread that uses it first. It is not
// for concurrent use.
type Sets struct{ conn nfnetlink.Kept }

// Read returns a set, nil if there is none of that name.
func (s *Sets) Read(name string) (*Set, error) {
	var set *Set
	err := nfnetlink.Retry(func() error {
		set = &Set{}
		return s.talk("read", cmdList, unix.NLM_F_DUMP, named(name), set.read)
	})
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return set, err
}

func (s *Set) read(m nfnetlink.Message) error {
	if kind := m.Attributes.Find(attrType); kind != nil { // in the first message
		s.Kind = kind.Text() + " " + map[uint64]string{unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6"}[m.Attributes.Find(attrFamily).Number()]
	}
	for _, member := range m.Attributes.Find(attrADT).All() {
		var address netip.Addr
		bits, ok, exception := -1, true, false
		for kind, value := range member.All() {
			switch kind {
			case dataAddress:
				for _, bytes := range value.All() {
					address, ok = netip.AddrFromSlice(bytes)
				}
			case dataBits:
				bits = int(value.Number())
			case dataFlags:
				exception = true
				ok = value.Number() == flagException
			default:
				ok = false
			}
		}
		prefix := netip.PrefixFrom(address, bits)
		if !ok || !prefix.IsValid() {
			s.Odd = true
			continue
		}
		if exception {
			s.Exceptions = append(s.Exceptions, prefix)
			continue
		}
		s.Members = append(s.Members, prefix)
	}
	return nil
}

// Create makes an empty set.
func (s *Sets) Create(name string, ipv6 bool) error {
	family := uint8(unix.AF_INET)
	if ipv6 {
		family = unix.AF_INET6
	}
	return s.create(name, family, nfnetlink.Attributes{}.Uint32(dataMaximum|unix.NLA_F_NET_BYTEORDER, Maximum))
}

func (s *Sets) create(name string, family uint8, data nfnetlink.Attributes) error {
	return s.talk("create", cmdCreate, unix.NLM_F_CREATE|unix.NLM_F_EXCL, named(name).
		String(attrType, hashNet).
		Uint8(attrRevision, revision).
		Uint8(attrFamily, family).
		Nested(attrData, data), nil)
}

// Add adds members, of which some may be there already.
func (s *Sets) Add(name string, members []netip.Prefix) error {
	return s.change("add to", cmdAdd, name, members, 0)
}

// Except adds exceptions. What was a member is one no longer, and the other way round
// with Add.
func (s *Sets) Except(name string, exceptions []netip.Prefix) error {
	return s.change("except from", cmdAdd, name, exceptions, flagException)
}

// Remove removes members and exceptions, of which some may be gone already.
func (s *Sets) Remove(name string, members []netip.Prefix) error {
	return s.change("remove from", cmdDel, name, members, 0)
}

// Swap exchanges the contents of two sets in one step.
func (s *Sets) Swap(one, other string) error {
	return s.talk("swap", cmdSwap, 0, named(one).String(attrType, other), nil)
}

// Destroy removes a set, which the kernel refuses while a rule uses it.
func (s *Sets) Destroy(name string) error { return s.talk("destroy", cmdDestroy, 0, named(name), nil) }

func (s *Sets) change(what string, command uint16, name string, members []netip.Prefix, flags uint32) error {
	for len(members) > 0 {
		count := min(portion, len(members))
		var data nfnetlink.Attributes
		for _, member := range members[:count] {
			one := described(member)
			if flags != 0 {
				one = one.Uint32(dataFlags|unix.NLA_F_NET_BYTEORDER, flags)
			}
			data = data.Nested(attrData, one)
		}
		if err := s.talk(what, command, 0, named(name).Uint32(attrLine, 0).Nested(attrADT, data), nil); err != nil {
			return err
		}
		members = members[count:]
	}
	return nil
}

// described is a member in the kernel's words.
func described(member netip.Prefix) nfnetlink.Attributes {
	kind := uint16(addressIPv4)
	if member.Addr().Is6() {
		kind = addressIPv6
	}
	return nfnetlink.Attributes{}.
		Nested(dataAddress, nfnetlink.Attributes{}.Bytes(kind|unix.NLA_F_NET_BYTEORDER, member.Addr().AsSlice())).
		Uint8(dataBits, uint8(member.Bits()))
}

// named begins a request about a set.
func named(name string) nfnetlink.Attributes {
	return nfnetlink.Attributes{}.Uint8(attrProtocol, protocol).String(attrName, name)
}

// talk makes one request; answer is nil for one that is only acknowledged.
func (s *Sets) talk(what string, command, flags uint16, attributes nfnetlink.Attributes, answer func(nfnetlink.Message) error) error {
	request := nfnetlink.Message{Type: subsystem<<8 | command, Flags: flags, Family: unix.AF_INET, Attributes: attributes}
	err := s.conn.Talk(func(conn *nfnetlink.Conn) error {
		if answer == nil {
			return conn.Do(request)
		}
		return conn.Ask(request, answer)
	})
	if err != nil {
		return fmt.Errorf("%s set %s: %w", what, attributes.Find(attrName).Text(), explain(err))
	}
	return nil
}
