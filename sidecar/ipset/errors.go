//go:build linux

package ipset

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// explain says what an error of the kernel's means here: ip_set has numbers of its
// own, and a kernel without it a misleading one.
func explain(err error) error {
	var number unix.Errno
	if !errors.As(err, &number) {
		return err
	}
	meaning := map[unix.Errno]string{
		unix.EINVAL: "the kernel may lack ip_set",
		unix.EPERM:  "is NET_ADMIN granted?",
		4097:        "the kernel speaks another version of the protocol",
		4098:        "the kernel has no sets of type " + hashNet + " (module ip_set_hash_net)",
		4099:        "the kernel takes no more sets",
		4100:        "it is in use",
		4103:        "it is there already, or a member is",
		4108:        "it is in use",
		4352:        fmt.Sprintf("it is full: a set takes %d members", Maximum),
	}[number]
	if meaning == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, meaning)
}
