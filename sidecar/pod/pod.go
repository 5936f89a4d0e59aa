//go:build linux

// Package pod reads what the rules need to know of the pod that the sidecar runs
// in, from the kernel by netlink: nothing that a tenant could have written.
package pod

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/sidecar/rules"
)

// Read looks at the network namespace of the calling thread.
func Read() (rules.Pod, error) {
	ipv6, err := HasIPv6()
	if err != nil {
		return rules.Pod{}, err
	}
	addresses, err := addresses()
	if err != nil {
		return rules.Pod{}, err
	}
	gateways, err := gateways()
	if err != nil {
		return rules.Pod{}, err
	}
	return rules.Pod{Addresses: addresses, Gateways: gateways, IPv6: ipv6}, nil
}

// HasIPv6 says whether the kernel has IPv6. Opening a socket asks it in the way
// that a tenant could, so that a module which would be loaded at that moment is
// loaded now and not behind the rules' back. A kernel booted with ipv6.disable=1
// refuses the family.
func HasIPv6() (bool, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EAFNOSUPPORT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("ask the kernel for IPv6: %w", err)
	}
	return true, unix.Close(fd)
}

// addresses are those of all interfaces but the loopback ranges, which have rules
// of their own.
func addresses() ([]netip.Addr, error) {
	found, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list the pod's addresses: %w", err)
	}
	var all []netip.Addr
	for _, address := range found {
		if addr, ok := netip.AddrFromSlice(address.IP); ok && !addr.IsLoopback() {
			all = append(all, addr.Unmap())
		}
	}
	return canonical(all), nil
}

// gateways are the next hops of all routes in all tables.
func gateways() ([]netip.Addr, error) {
	everywhere := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
	found, err := dump(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, everywhere, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list the pod's routes: %w", err)
	}
	var all []netip.Addr
	add := func(hop net.IP, via netlink.Destination) {
		if addr, ok := netip.AddrFromSlice(hop); ok && !addr.IsUnspecified() {
			all = append(all, addr.Unmap())
		}
		if other, ok := via.(*netlink.Via); ok {
			if addr, ok := netip.AddrFromSlice(other.Addr); ok {
				all = append(all, addr.Unmap())
			}
		}
	}
	for _, route := range found {
		add(route.Gw, route.Via)
		for _, hop := range route.MultiPath {
			add(hop.Gw, hop.Via)
		}
	}
	return canonical(all), nil
}

// dump repeats a listing that the kernel reports as interrupted by a change:
// half a list would be a wrong one.
func dump[T any](list func() ([]T, error)) ([]T, error) {
	const attempts = 5
	var err error
	for range attempts {
		var all []T
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return nil, err
}

func canonical(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
