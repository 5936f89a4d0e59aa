package feed

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
)

// turns lets so many in at a time. Who finds all places taken waits: keys are called by
// turns, and of one key who came first, so that nobody waits behind a crowd of another's.
// There is room for so many who wait; where it is full, the key that has most of it loses
// whoever came last, if that is fair to it.
type turns struct {
	mutex sync.Mutex
	free  int // places; none while somebody waits
	room  int // to wait in, that is left
	lines map[string]*list.Element
	order *list.List // of *waitingLine that are not empty, the next to be called first
}

type waitingLine struct {
	key     string
	waiting []chan error // each is told once: nil, that it may go in, or why not
}

// errCrowded is told to whom there is no room for.
var errCrowded = errors.New("too many are waiting")

func newTurns(places, room int) *turns {
	return &turns{free: places, room: room, lines: map[string]*list.Element{}, order: list.New()}
}

// begin waits for a place; end must follow if there is no error.
func (t *turns) begin(ctx context.Context, key string) error {
	called, err := t.queue(key)
	if called == nil {
		return err
	}
	select {
	case err := <-called:
		return err
	case <-ctx.Done():
		t.give(key, called)
		return ctx.Err()
	}
}

func (t *turns) end() {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.call()
}

// queue gives a place, or a call to wait for, or neither.
func (t *turns) queue(key string) (chan error, error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if t.free > 0 {
		t.free--
		return nil, nil
	}
	if t.room == 0 && !t.makeRoom(key) {
		return nil, errCrowded
	}
	place, ok := t.lines[key]
	if !ok {
		place = t.order.PushBack(&waitingLine{key: key})
		t.lines[key] = place
	}
	t.room--
	line := place.Value.(*waitingLine)
	called := make(chan error, 1)
	line.waiting = append(line.waiting, called)
	return called, nil
}

// makeRoom sends away the last of the longest line, unless the key's own would be as long.
func (t *turns) makeRoom(key string) bool {
	own := 0
	if place, ok := t.lines[key]; ok {
		own = len(place.Value.(*waitingLine).waiting)
	}
	var longest *waitingLine
	for place := t.order.Front(); place != nil; place = place.Next() {
		if line := place.Value.(*waitingLine); longest == nil || len(line.waiting) > len(longest.waiting) {
			longest = line
		}
	}
	if longest == nil || len(longest.waiting) <= own+1 {
		return false
	}
	t.take(longest, len(longest.waiting)-1) <- errCrowded
	return true
}

// give gives up a wait, and the place that has come meanwhile.
func (t *turns) give(key string, called chan error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if place, ok := t.lines[key]; ok {
		line := place.Value.(*waitingLine)
		if i := slices.Index(line.waiting, called); i >= 0 {
			t.take(line, i)
			return
		}
	}
	if err := <-called; err == nil {
		t.call()
	}
}

// call gives a place that is free now to the next.
func (t *turns) call() {
	next := t.order.Front()
	if next == nil {
		t.free++
		return
	}
	t.order.MoveToBack(next)
	t.take(next.Value.(*waitingLine), 0) <- nil
}

// take takes one out of its line.
func (t *turns) take(line *waitingLine, i int) chan error {
	called := line.waiting[i]
	line.waiting = slices.Delete(line.waiting, i, i+1)
	t.room++
	if len(line.waiting) == 0 {
		t.order.Remove(t.lines[line.key])
		delete(t.lines, line.key)
	}
	return called
}
