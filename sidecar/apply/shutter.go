//go:build linux

package apply

import (
	"errors"
	"time"
)

// Shutter closes the pod for the moments until the guard stands, whatever nftables is
// busy with.
type Shutter interface {
	Shut() error
	// Open does nothing if it is open.
	Open() error
}

// closeBy sets the guard behind the shutter and says when the pod was closed. Who deleted
// rules holds up every other change of the ruleset, the guard too, while its socket is
// closed and until no packet can see what it deleted any longer: for up to twenty
// milliseconds (nft_rcv_nl_event). The shutter does not wait for that. It stays shut if
// there is no guard, and opens while the guard stands, so that nothing is opened by it.
func (a *Applier) closeBy(guard func() error) (time.Time, error) {
	if a.Shutter == nil {
		err := guard()
		return time.Now(), err
	}
	shut := a.Shutter.Shut()
	closed := time.Now()
	if err := guard(); err != nil {
		return closed, errors.Join(shut, err)
	}
	if shut != nil {
		closed = time.Now() // by the guard alone
	}
	return closed, a.Shutter.Open()
}

// unshut opens the shutter when all is proven: a sidecar before this one may have been
// killed behind it, or the guard have failed.
func (a *Applier) unshut() error {
	if a.Shutter == nil {
		return nil
	}
	return a.Shutter.Open()
}
