package webhook

import (
	"container/list"
	"sync"
)

// RememberedBytes is a value of [Parts.Remember] that is enough for some thousands of
// workloads.
const RememberedBytes = 8 << 20

// lookup is how a decision was come by.
type lookup string

const (
	lookupHit  lookup = "hit"
	lookupMiss lookup = "miss"
)

// decisions remembers what was decided, those asked for last, within a number of
// bytes. What it gives out is shared and must not be changed. It forgets all when it is
// asked on behalf of another engine: other rules, other decisions.
type decisions struct {
	limit int

	mutex  sync.Mutex
	engine Engine
	byKey  map[digest]*list.Element // of remembered
	recent *list.List               // the last one asked for first
	size   int
}

type remembered struct {
	key      digest
	decision decision
	size     int
}

// newDecisions remembers nothing where the limit is 0.
func newDecisions(limit int) *decisions {
	return &decisions{limit: limit, byKey: map[digest]*list.Element{}, recent: list.New()}
}

func (d *decisions) get(engine Engine, key digest) (decision, bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.forgetOthers(engine)
	found, ok := d.byKey[key]
	if !ok {
		return decision{}, false
	}
	d.recent.MoveToFront(found)
	return found.Value.(*remembered).decision, true
}

func (d *decisions) put(engine Engine, key digest, decided decision) {
	entry := &remembered{key, decided, decided.size()}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.forgetOthers(engine)
	if _, known := d.byKey[key]; known || entry.size > d.limit/maxShare {
		return
	}
	d.byKey[key] = d.recent.PushFront(entry)
	d.size += entry.size
	for d.size > d.limit {
		oldest := d.recent.Remove(d.recent.Back()).(*remembered)
		delete(d.byKey, oldest.key)
		d.size -= oldest.size
	}
}

func (d *decisions) forgetOthers(engine Engine) {
	if d.engine == engine {
		return
	}
	d.engine, d.size = engine, 0
	clear(d.byKey)
	d.recent.Init()
}

const (
	// maxShare: one decision may take so small a part of all.
	maxShare = 16
	// entrySize is about what an entry takes beside its texts: the decision, the key
	// twice, places in map and list, and the annotations' map.
	entrySize = 1 << 10
)

// size is about how many bytes the decision takes.
func (d decision) size() int {
	size := entrySize + len(d.message) + len(d.tenant) + len(d.answer)
	for key, value := range d.annotations {
		size += len(key) + len(value)
	}
	for _, warning := range d.warnings {
		size += 16 + len(warning)
	}
	for _, rule := range d.rules {
		size += 16 + len(rule)
	}
	for _, f := range d.findings {
		size += 256 + len(f.Container) + len(f.Field) + len(f.Message) + len(f.Remedy)
	}
	return size
}
