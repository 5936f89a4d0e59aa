package rules

import (
	"cmp"
	"net/netip"
	"slices"
)

// ranges are prefixes in ascending order, each once. There may be very many: nothing
// that is asked of them looks at them all.
type ranges []netip.Prefix

// newRanges sorts, unless that is done; the prefixes are in canonical form.
func newRanges(prefixes []netip.Prefix) ranges {
	for i := 1; i < len(prefixes); i++ {
		if Ascending(prefixes[i-1], prefixes[i]) >= 0 {
			return slices.Compact(slices.SortedFunc(slices.Values(prefixes), Ascending))
		}
	}
	return prefixes
}

// of are those of a family; IPv4 comes first.
func (r ranges) of(family Family) ranges {
	first, _ := slices.BinarySearchFunc(r, IPv6, func(p netip.Prefix, _ Family) int {
		if IPv6.has(p.Addr()) {
			return 1
		}
		return -1
	})
	if family == IPv6 {
		return r[first:]
	}
	return r[:first]
}

// holds says whether a prefix is one of them.
func (r ranges) holds(prefix netip.Prefix) bool {
	_, ok := slices.BinarySearchFunc(r, prefix, Ascending)
	return ok
}

// overlap says whether a prefix has an address in common with one of them: one that is
// as large or larger, or the first of those that begin in it.
func (r ranges) overlap(prefix netip.Prefix) bool {
	for bits := range prefix.Bits() + 1 {
		if r.holds(netip.PrefixFrom(prefix.Addr(), bits).Masked()) {
			return true
		}
	}
	next, _ := slices.BinarySearchFunc(r, prefix, Ascending)
	return next < len(r) && prefix.Contains(r[next].Addr())
}

// disjoint are the prefixes without those that another holds.
func disjoint(prefixes []netip.Prefix) ranges {
	var all ranges
	for _, prefix := range newRanges(prefixes) {
		if last := len(all) - 1; last < 0 || !all[last].Contains(prefix.Addr()) {
			all = append(all, prefix)
		}
	}
	return all
}

// next says whether an address lies in ranges that are disjoint. It forgets those before
// it: who asks for many asks in ascending order.
func (r *ranges) next(addr netip.Addr) bool {
	for len(*r) > 0 && (*r)[0].Addr().Less(addr) && !(*r)[0].Contains(addr) {
		*r = (*r)[1:]
	}
	return len(*r) > 0 && (*r)[0].Contains(addr)
}

// Ascending is netip.Prefix.Compare for prefixes in canonical form, in a fifth of its
// time.
func Ascending(a, b netip.Prefix) int {
	if order := a.Addr().Compare(b.Addr()); order != 0 {
		return order
	}
	return cmp.Compare(a.Bits(), b.Bits())
}
