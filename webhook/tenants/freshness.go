package tenants

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// negativeLife is how long a live read counts at most for namespaces that nobody owns
// in it: what a watch that has stalled unnoticed may cost.
const negativeLife = 5 * time.Second

// freshness keeps the last live read for as long as a watch shows that no Tenant has
// changed since: the read began while the watch was open, and from then on the watch
// has neither told of a change nor ended.
type freshness struct {
	now func() time.Time

	mutex sync.Mutex
	open  int // watches
	epoch int // ends with every change, and with every watch
	index *Index
	at    time.Time
}

// known returns the kept read, nil if nothing shows that it still holds.
func (f *freshness) known() *Index {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.index == nil || f.now().Sub(f.at) >= negativeLife {
		return nil
	}
	return f.index
}

// begin is called before a read, and says in which epoch it begins; the read ends
// with keep.
func (f *freshness) begin() (epoch int, at time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.epoch, f.now()
}

// keep keeps the read if its epoch goes on and a watch is open.
func (f *freshness) keep(index *Index, epoch int, at time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if epoch == f.epoch && f.open > 0 {
		f.index, f.at = index, at
	}
}

func (f *freshness) change(open int) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.epoch++
	f.open += open
	f.index = nil
}

// watch opens a watch by the client and looks at what it tells on its way.
func (f *freshness) watch(ctx context.Context, client Client, options metav1.ListOptions) (watch.Interface, error) {
	watched, err := client.Watch(ctx, options)
	if err != nil {
		return nil, err
	}
	f.change(+1)
	seen := &observed{Interface: watched, events: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer close(seen.events)
		defer f.change(-1)
		for event := range watched.ResultChan() {
			if event.Type != watch.Bookmark {
				f.change(0)
			}
			select {
			case seen.events <- event:
			case <-seen.stopped:
				return
			}
		}
	}()
	return seen, nil
}

// observed is a watch whose events pass by somebody.
type observed struct {
	watch.Interface
	events  chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

func (o *observed) ResultChan() <-chan watch.Event { return o.events }

func (o *observed) Stop() {
	o.once.Do(func() { close(o.stopped) })
	o.Interface.Stop()
}
