//go:build linux

// Package xfrm closes a network namespace by what the kernel does with packets for which
// there is no IPsec policy: let them pass, or block them. In a pod there are no IPsec
// policies, so that is every packet of both families, received, forwarded or sent; only
// the pod's talk with itself over lo is left alone. While packets pass it costs them
// nothing: this is how every kernel with IPsec is, and the question is asked anyway.
//
// It is for moments, not for good: one message closes in some thirty microseconds, by a
// lock that no change of nftables holds (xfrm_set_default in net/xfrm/xfrm_user.c), and
// cached routes are asked again, so that connections which stand are closed as well.
// It has been in the kernel since 5.15 (xfrm: make user policy API complete).
package xfrm

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/nfnetlink"
)

// Of linux/xfrm.h; the library has them not.
const (
	setDefault = 0x27 // XFRM_MSG_SETDEFAULT
	getDefault = 0x28 // XFRM_MSG_GETDEFAULT

	block  = 1 // XFRM_USERPOLICY_BLOCK
	accept = 2 // XFRM_USERPOLICY_ACCEPT
)

// Shutter is the default policy of the network namespace of the calling thread.
type Shutter struct{ shut bool }

// Find looks whether the shutter is open. It is nil, and no error, where the kernel has
// none or the sidecar may not use it.
func Find() (*Shutter, error) {
	answers, err := ask(getDefault, 0, 0)
	switch {
	case nfnetlink.Unsupported(err), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask the kernel for its default IPsec policy: %w", err)
	}
	s := &Shutter{}
	for _, answer := range answers {
		for _, policy := range answer[:min(len(answer), directions)] {
			s.shut = s.shut || policy == block
		}
	}
	return s, nil
}

// Shut blocks every packet until Open.
func (s *Shutter) Shut() error {
	s.shut = true // or may be, after an error
	return set(block)
}

// Open lets packets pass again, if it was shut.
func (s *Shutter) Open() error {
	if !s.shut {
		return nil
	}
	if err := set(accept); err != nil {
		return err
	}
	s.shut = false
	return nil
}

func set(policy byte) error {
	if _, err := ask(setDefault, unix.NLM_F_ACK, policy); err != nil {
		return fmt.Errorf("set the default IPsec policy: %w", err)
	}
	return nil
}

// ask opens a socket for each message: unlike one of netfilter it is closed at once.
func ask(command, flags int, policy byte) ([][]byte, error) {
	request := nl.NewNetlinkRequest(command, flags)
	request.AddData(defaults(policy))
	return request.Execute(unix.NETLINK_XFRM, 0)
}

// defaults is struct xfrm_userpolicy_default with one policy for all directions.
type defaults byte

// directions are in, forward and out.
const directions = 3

func (defaults) Len() int { return unix.NLMSG_ALIGNTO }

func (d defaults) Serialize() []byte { return []byte{byte(d), byte(d), byte(d), 0} }
