//go:build linux

package ipset

import (
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// Note lets the kernel hold a note for a time, in whole seconds and one at least: a set
// with a member that expires, which no rule uses. It outlives who made it, and a later
// one of the same name takes its place.
func (s *Sets) Note(name string, lasts time.Duration) error {
	seconds := uint32(max(1, lasts/time.Second)) // with 0 it would stay for ever
	add := func() error {
		return s.talk("note in", cmdAdd, 0, named(name).Nested(attrData, described(note()).Uint32(dataTimeout|unix.NLA_F_NET_BYTEORDER, seconds)), nil)
	}
	err := add()
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := s.create(name, unix.AF_INET, nfnetlink.Attributes{}.Uint32(dataTimeout|unix.NLA_F_NET_BYTEORDER, seconds)); err != nil {
		return err
	}
	return add()
}

// Noted is how long a note still lasts, 0 if it is gone.
func (s *Sets) Noted(name string) (time.Duration, error) {
	var left time.Duration
	err := nfnetlink.Retry(func() error {
		left = 0
		return s.talk("read", cmdList, unix.NLM_F_DUMP, named(name), func(m nfnetlink.Message) error {
			for _, member := range m.Attributes.Find(attrADT).All() {
				left = time.Duration(member.Find(dataTimeout).Number()) * time.Second
			}
			return nil
		})
	})
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	return left, err
}

// note is what stands in such a set: any member would do.
func note() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 32) }
