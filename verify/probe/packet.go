//go:build linux

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/verify/packet"
)

// apart is the time between two packets of one attempt: the first may be lost to neighbour discovery.
const apart = 100 * time.Millisecond

// packets sends one packet after the other to a target until the time is over. EPERM is the sender's own kernel, and
// enough to know.
func packets(ctx context.Context, a attempt, targets []string, transmit func(netip.AddrPort) error) ([]Answer, error) {
	return each(targets, func(target string) (Answer, error) {
		to, err := parseTarget(target)
		if err != nil {
			return Answer{}, err
		}
		for deadline := time.Now().Add(a.within / 2); ; {
			if err := transmit(to); err != nil {
				outcome, known := judge(err)
				if !known {
					return Answer{}, err
				}
				return Answer{Outcome: outcome, Detail: err.Error()}, nil
			}
			if time.Now().After(deadline) {
				return Answer{Outcome: Reached, Detail: "sent"}, nil
			}
			select {
			case <-ctx.Done():
				return Answer{}, ctx.Err()
			case <-time.After(apart):
			}
		}
	})
}

// parseTarget reads an address with a port, or without where the protocol has none.
func parseTarget(target string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(target); err == nil {
		return netip.AddrPortFrom(addr, 0), nil
	}
	return netip.ParseAddrPort(target)
}

// send sends UDP. With a source it must be IPv6: whoever asks may bind to an address that is not his (ipv6(7),
// IPV6_FREEBIND), without any capability.
func send(ctx context.Context, a attempt, targets []string) ([]Answer, error) {
	var options []func(fd int) error
	if a.from != "" {
		from, err := netip.ParseAddr(a.from)
		if err != nil || from.Is4() {
			return nil, fmt.Errorf("--from %s: want an IPv6 address", a.from)
		}
		options = append(options,
			func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1) },
			func(fd int) error { return unix.Bind(fd, sockaddr(netip.AddrPortFrom(from, 0))) })
	}
	return packets(ctx, a, targets, func(to netip.AddrPort) error {
		return transmit(to, unix.SOCK_DGRAM, 0, []byte(a.token), options...)
	})
}

// forge sends UDP from an address that is not this pod's, which takes CAP_NET_RAW.
func forge(ctx context.Context, a attempt, targets []string) ([]Answer, error) {
	from, err := netip.ParseAddr(a.from)
	if err != nil {
		return nil, err
	}
	return packets(ctx, a, targets, func(to netip.AddrPort) error {
		forged, err := ipv4UDP(netip.AddrPortFrom(from, DataPort), to, []byte(a.token))
		if err != nil {
			return err
		}
		return transmit(netip.AddrPortFrom(to.Addr(), 0), unix.SOCK_RAW, unix.IPPROTO_RAW, forged)
	})
}

// raw sends an empty packet of an IP protocol, which takes CAP_NET_RAW.
func raw(ctx context.Context, a attempt, targets []string) ([]Answer, error) {
	return packets(ctx, a, targets, func(to netip.AddrPort) error {
		return transmit(to, unix.SOCK_RAW, a.raw, make([]byte, 8))
	})
}

// transmit sends one packet by a socket of its own.
func transmit(to netip.AddrPort, kind, protocol int, payload []byte, options ...func(fd int) error) error {
	family := unix.AF_INET
	if to.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	defer unix.Close(fd)
	for _, option := range options {
		if err := option(fd); err != nil {
			return fmt.Errorf("set up the socket: %w", err)
		}
	}
	return unix.Sendto(fd, payload, 0, sockaddr(to))
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
}

// frame puts a UDP packet of this pod's own on the wire by a packet socket, which passes no rule of OUTPUT (packet(7));
// it takes CAP_NET_RAW.
func frame(ctx context.Context, a attempt, targets []string) ([]Answer, error) {
	return packets(ctx, a, targets, func(to netip.AddrPort) error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a packet socket: %w", err)
		}
		defer unix.Close(fd)
		hop, source, err := nextHop(to.Addr())
		if err != nil {
			return err
		}
		forged, err := ipv4UDP(netip.AddrPortFrom(source, DataPort), to, []byte(a.token))
		if err != nil {
			return err
		}
		return unix.Sendto(fd, forged, 0, hop)
	})
}

// nextHop finds where a packet to an address goes on the link, and from which of this pod's addresses.
func nextHop(to netip.Addr) (*unix.SockaddrLinklayer, netip.Addr, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return nil, netip.Addr{}, fmt.Errorf("find the route to %s: %w", to, errors.Join(err, unix.EHOSTUNREACH))
	}
	hop := net.IP(to.AsSlice())
	if gateway := routes[0].Gw; gateway != nil {
		hop = gateway
	}
	// A packet of the ordinary way makes the kernel ask for the hardware address; the firewall may drop it after that.
	_ = transmit(netip.AddrPortFrom(to, DataPort), unix.SOCK_DGRAM, 0, []byte("who is there"))
	neighbours, err := netlink.NeighList(routes[0].LinkIndex, netlink.FAMILY_V4)
	if err != nil {
		return nil, netip.Addr{}, fmt.Errorf("list neighbours: %w", err)
	}
	source, ok := netip.AddrFromSlice(routes[0].Src)
	if !ok {
		return nil, netip.Addr{}, fmt.Errorf("the route to %s names no source", to)
	}
	address := &unix.SockaddrLinklayer{
		Protocol: binary.NativeEndian.Uint16([]byte{0x08, 0x00}), Ifindex: routes[0].LinkIndex, Halen: 6,
		Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, // until the neighbour is known
	}
	for _, neighbour := range neighbours {
		if neighbour.IP.Equal(hop) && len(neighbour.HardwareAddr) == 6 {
			copy(address.Addr[:], neighbour.HardwareAddr)
		}
	}
	return address, source.Unmap(), nil
}

// ipv4UDP is a forged packet of IPv4.
func ipv4UDP(from, to netip.AddrPort, payload []byte) ([]byte, error) {
	if !from.Addr().Is4() || !to.Addr().Is4() {
		return nil, fmt.Errorf("from %s to %s: want IPv4", from, to)
	}
	return packet.IPv4UDP(from, to, payload), nil
}
