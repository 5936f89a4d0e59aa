//go:build linux

package nfnetlink

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUnsupported(t *testing.T) {
	cases := map[error]bool{
		unix.EINVAL:          true,
		unix.EOPNOTSUPP:      true,
		unix.EPROTONOSUPPORT: true,
		unix.EPERM:           false,
		unix.ENOMEM:          false,
		unix.EINTR:           false,
		unix.EMFILE:          false,
		nil:                  false,
	}
	for err, want := range cases {
		if got := Unsupported(err); got != want {
			t.Errorf("%v: %v", err, got)
		}
		if err == nil {
			continue
		}
		if got := Unsupported(fmt.Errorf("ask: %w", os.NewSyscallError("sendto", err))); got != want {
			t.Errorf("wrapped %v: %v", err, got)
		}
	}
}
