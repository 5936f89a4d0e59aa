//go:build linux

package apply

import (
	"errors"
	"time"
)

// Shutter closes the pod without nftables, until all is proven.
type Shutter interface {
	Shut() error
	// Open does nothing if it is open.
	Open() error
}

// closeBy shuts the shutter, sets the guard and says when the pod was closed. The guard
// alone would be late: who deleted rules holds up every other change of the ruleset while
// its socket is closed, until no packet can see what it deleted any longer, for up to
// twenty milliseconds (nft_rcv_nl_event). And who flushes the ruleset once more flushes
// the guard, while the tools that repair are at work.
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
		closed = time.Now() // by the guard, which is enough
	}
	return closed, nil
}

// unshut opens the shutter when all is proven and the guard rests, also that of a sidecar
// before this one.
func (a *Applier) unshut() error {
	if a.Shutter == nil {
		return nil
	}
	return a.Shutter.Open()
}
