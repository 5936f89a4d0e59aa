package tenants

import (
	"context"
	"sync"
)

// flight shares live reads among the callers that wait for one. A caller only gets
// a read that began after it asked: an older one may have missed what it asks for.
// At most one read runs at a time.
type flight struct {
	read func() (*Index, error)

	running sync.Mutex
	mutex   sync.Mutex
	next    *call // not begun; whoever asks now joins it
}

type call struct {
	done  chan struct{}
	index *Index
	err   error
}

func (f *flight) do(ctx context.Context) (*Index, error) {
	f.mutex.Lock()
	joined := f.next
	if joined == nil {
		joined = &call{done: make(chan struct{})}
		f.next = joined
		go f.run(joined)
	}
	f.mutex.Unlock()
	select {
	case <-joined.done:
		return joined.index, joined.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (f *flight) run(c *call) {
	f.running.Lock()
	defer f.running.Unlock()
	f.mutex.Lock()
	f.next = nil
	f.mutex.Unlock()
	c.index, c.err = f.read()
	close(c.done)
}
