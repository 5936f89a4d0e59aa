//go:build linux

// Package watch says that something changed which the firewall rests on: the
// rules (nftables' events, which iptables-nft raises too) or the pod's addresses
// and routes. It does not say what: whoever is woken looks for itself. Changes of
// an ipset and of legacy iptables raise no event in any kernel; for these the
// firewall looks by the clock.
package watch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Changes sends on the channel it returns, never more than one signal ahead of the
// reader: a burst is one. It closes the channel when the context ends or the
// kernel's events cannot be had any longer. The sockets belong to the network
// namespace of the calling thread.
func Changes(ctx context.Context) (<-chan struct{}, error) {
	rules, err := subscribe(unix.NETLINK_NETFILTER, unix.NFNLGRP_NFTABLES)
	if err != nil {
		return nil, fmt.Errorf("subscribe to nftables' events: %w", err)
	}
	addresses, err := subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("subscribe to the pod's addresses and routes: %w", err), rules.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan struct{}, 1)
	var receivers sync.WaitGroup
	for _, socket := range []*os.File{rules, addresses} {
		context.AfterFunc(ctx, func() { _ = socket.Close() }) // ends the Read below
		receivers.Go(func() {
			receive(socket, changes)
			cancel() // one without the other is not enough
		})
	}
	go func() {
		defer cancel()
		receivers.Wait()
		close(changes)
	}()
	return changes, nil
}

func subscribe(protocol int, groups ...uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	address := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, group := range groups {
		address.Groups |= 1 << (group - 1)
	}
	if err := unix.Bind(fd, address); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// receive turns messages into signals until the socket fails or is closed. What
// they say does not matter, so they may be cut short; ENOBUFS means that the
// kernel had more to say than the socket holds, which is a signal as well.
func receive(socket *os.File, changes chan<- struct{}) {
	message := make([]byte, 4096)
	for {
		if _, err := socket.Read(message); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
		select {
		case changes <- struct{}{}:
		default:
		}
	}
}
