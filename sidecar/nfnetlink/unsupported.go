//go:build linux

package nfnetlink

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Unsupported tells the kernel's answer that it has not what was asked for, or no
// netfilter netlink at all, from a question that failed for another reason
// (net/netfilter/nfnetlink.c, nfnetlink_rcv_msg; socket(2)).
func Unsupported(err error) bool {
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)
}
