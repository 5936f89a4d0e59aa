package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
)

// addressDir is where host-local keeps what it has given.
const addressDir = cniDir + "/addresses"

// GiveNext waits until a pod's addresses are free again, and lets the next pod have them. For a cluster on one bridge
// without ranges: host-local looks for a free address after the last that it gave, which it notes in a file for each
// family.
func (c *Cluster) GiveNext(ctx context.Context, addresses []string) error {
	dir := filepath.Join(addressDir, networkName)
	for i, text := range addresses {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return err
		}
		err = c.Wait(ctx, "the address "+text+" to be free", podDeadline, func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, text))
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err == nil:
				return errors.New("it is in use")
			}
			return err
		})
		if err != nil {
			return err
		}
		last := filepath.Join(dir, fmt.Sprintf("last_reserved_ip.%d", i))
		if err := os.WriteFile(last, []byte(address.Prev().String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
