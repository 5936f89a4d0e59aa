//go:build linux

package apply

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/bulkhead-dev/bulkhead/feed/protocol"
	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// cause is what drops are counted by.
type cause struct {
	direction protocol.Direction
	reason    string
}

// counter is a rule's, count what it counted.
type counter struct {
	family rules.Family
	place  rules.Place
}

type count struct{ packets, bytes uint64 }

// Dropped is what the rules in force dropped since it was last asked, by direction and
// reason, from their own counters. A repair begins to count from nothing, so up to one
// interval's packets go uncounted with it, as do those that the guard drops. Legacy
// iptables is not asked.
func (a *Applier) Dropped() ([]protocol.Drops, error) {
	if a.Kernel == nil || a.inForce == nil {
		return nil, nil
	}
	snapshot, err := a.Kernel.Look()
	if err != nil {
		return nil, err
	}
	if len(changes(a.inForce.plan, a.inForce.snapshot, snapshot)) > 0 {
		return nil, nil // tampered with, and soon repaired
	}
	now, sums := map[counter]count{}, map[cause]count{}
	for _, table := range a.inForce.plan.Tables {
		for at, rule := range table.Drops {
			found := snapshot.Filter[familyNumber(table.Family)].Chains[at.Chain].Rules[at.Number]
			from := counter{table.Family, at}
			now[from] = count{found.Packets, found.Bytes}
			last := a.counted[from]
			if last.packets > found.Packets || last.bytes > found.Bytes {
				last = count{} // written anew
			}
			by := cause{direction(at.Chain), rule.Reason}
			sums[by] = count{sums[by].packets + found.Packets - last.packets, sums[by].bytes + found.Bytes - last.bytes}
		}
	}
	a.counted = now
	var drops []protocol.Drops
	for _, by := range slices.SortedFunc(maps.Keys(sums), func(x, y cause) int {
		return cmp.Or(cmp.Compare(x.direction, y.direction), cmp.Compare(x.reason, y.reason))
	}) {
		if sum := sums[by]; sum.packets > 0 {
			drops = append(drops, protocol.Drops{
				Direction: by.direction, Reason: by.reason,
				Packets: min(sum.packets, protocol.MaxCount), Bytes: min(sum.bytes, protocol.MaxCount),
			})
		}
	}
	return drops, nil
}

// direction is that of the packets which pass a chain of the plan's. What a pod
// forwards and is dropped for its receiver goes out like the pod's own.
func direction(chain string) protocol.Direction {
	switch {
	case strings.HasPrefix(chain, "BULKHEAD-INPUT"):
		return protocol.In
	case strings.HasPrefix(chain, "BULKHEAD-FORWARD"):
		return protocol.Forward
	}
	return protocol.Out
}
