//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// control is a second pair without rules.
const control = "none again"

// lane is a pair under one variant of the rules, with a server and a client that
// wait for work. Both use blocking sockets on threads of their own: what is measured
// is the kernel, not Go's poller.
type lane struct {
	variant
	*pair
	work chan task

	medians, connections, bits []float64
	trips                      []float64 // all, in µs
}

// variant is a way of having rules.
type variant struct {
	name string
	// peers are how many of our rules' set; 0 for others' rules.
	peers int
	// script sets others' rules, with %[1]s for the own address and %[2]s for the
	// other end's.
	script string
	// reference says that it protects nobody and is there to tell what a part
	// costs.
	reference bool
}

// variants are what is compared, and below them what any such rules cost at least.
func variants() []variant {
	const base = `nft add table ip f
		nft 'add chain ip f in { type filter hook input priority 0; }'; nft 'add chain ip f out { type filter hook output priority 0; }'
		`
	return []variant{
		{name: "none"},
		{name: control},
		{name: "thesis", script: `iptables-nft -A INPUT -s 172.16.1.0/24 -d %[1]s -j ACCEPT
			iptables-nft -A INPUT -s 172.16.0.0/12 -j DROP
			iptables-nft -A OUTPUT -s %[1]s -d 172.16.1.0/24 -j ACCEPT
			iptables-nft -A OUTPUT -d 172.16.0.0/12 -j DROP`},
		{name: "ours_10", peers: 10},
		{name: "ours_1000", peers: 1000},
		{name: "ours_100000", peers: 100_000},
		{name: "empty chains", reference: true, script: base},
		{name: "iptables, ACCEPT alone", reference: true, script: "iptables-nft -A INPUT -j ACCEPT; iptables-nft -A OUTPUT -j ACCEPT"},
		{name: "iptables, ipset alone", reference: true, script: `ipset create p hash:net; ipset add p %[1]s; ipset add p %[2]s
			iptables-nft -A INPUT -m set --match-set p src -j ACCEPT; iptables-nft -A OUTPUT -m set --match-set p dst -j ACCEPT`},
		{name: "nft, set alone", reference: true, script: base + `nft 'add set ip f p { type ipv4_addr; size 131072; }'; nft 'add element ip f p { %[1]s, %[2]s }'
			nft add rule ip f in ip saddr @p accept; nft add rule ip f out ip daddr @p accept`},
	}
}

// task is a piece of a client's work; it sends what it found.
type task struct {
	do    func() error
	ended chan error
}

func measureTraffic(ctx context.Context, o options, r *results) error {
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			l.end()
		}
	}()
	for _, v := range variants() {
		l, err := newLane(ctx, v)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		lanes = append(lanes, l)
	}
	compared := slices.DeleteFunc(slices.Clone(lanes), func(l *lane) bool { return l.reference })
	for _, phase := range []struct {
		title  string
		rounds int
		lanes  []*lane
		do     func(*lane) error
	}{
		{"round trips", o.rounds, lanes, func(l *lane) error { return l.roundTrips(40 * time.Millisecond) }},
		{"connections", max(3, o.rounds/4), compared, func(l *lane) error { return l.connect(60 * time.Millisecond) }},
		{"throughput", max(3, o.rounds/4), compared, func(l *lane) error { return l.stream(80 * time.Millisecond) }},
	} {
		report.Progress("  %s: %d rounds of %d variants", phase.title, phase.rounds, len(phase.lanes))
		for range phase.rounds {
			for _, i := range rand.Perm(len(phase.lanes)) {
				l := phase.lanes[i]
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := l.run(func() error { return phase.do(l) }); err != nil {
					return fmt.Errorf("%s with %s: %w", phase.title, l.name, err)
				}
			}
		}
	}
	none := lanes[0]
	d := &r.Details
	d.RTTRatio, d.ConnectionRatio, d.ThroughputRatio = map[string]float64{}, map[string]float64{}, map[string]float64{}
	d.medians = map[string][]float64{}
	for _, l := range lanes {
		d.RTTRatio[l.name] = paired(l.medians, none.medians)
		d.medians[l.name] = l.medians
		if l.reference {
			continue
		}
		r.Summary.RTTp50.set(l.name, report.Quantile(l.medians, 0.5))
		r.Summary.RTTp99.set(l.name, report.Quantile(l.trips, 0.99))
		r.Summary.Connections.set(l.name, report.Quantile(l.connections, 0.5))
		r.Summary.Throughput.set(l.name, report.Quantile(l.bits, 0.5))
		d.ConnectionRatio[l.name] = paired(l.connections, none.connections)
		d.ThroughputRatio[l.name] = paired(l.bits, none.bits)
	}
	return nil
}

// paired is the median of the rounds' ratios.
func paired(values, base []float64) float64 {
	ratios := make([]float64, len(values))
	for i := range values {
		ratios[i] = values[i] / base[i]
	}
	return report.Round(quantileExact(ratios), 4)
}

func quantileExact(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func newLane(ctx context.Context, v variant) (*lane, error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	for end, addresses := range map[*namespace.Namespace][2]string{p.client: {clientAddress, serverAddress}, p.server: {serverAddress, clientAddress}} {
		switch {
		case err != nil:
		case v.script != "":
			_, err = end.Shell(strings.NewReplacer("%[1]s", addresses[0], "%[2]s", addresses[1]).Replace(v.script))
		case v.peers > 0:
			var h *held
			if h, _, err = holdPeers(ctx, end, v.peers); err == nil {
				err = h.end()
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, p.close())
	}
	l := &lane{variant: v, pair: p, work: make(chan task)}
	ready := make(chan error, 1)
	go func() { _ = p.server.Do(func() error { return serve(ready) }) }()
	if err := <-ready; err != nil {
		return nil, errors.Join(err, p.close())
	}
	go func() {
		_ = p.client.Do(func() error {
			pin(0)
			for t := range l.work {
				t.ended <- t.do()
			}
			return nil
		})
	}()
	return l, nil
}

func (l *lane) run(do func() error) error {
	t := task{do, make(chan error)}
	l.work <- t
	return <-t.ended
}

func (l *lane) end() {
	close(l.work)
	_ = l.close()
}

// pin keeps the calling thread on one CPU: each end has its own, as containers of
// two pods do, where the machine has two. It goes before whatever else runs there:
// both ends sleep as much as they work.
func pin(cpu int) {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}, 0)
	var set, possible unix.CPUSet
	if unix.SchedGetaffinity(0, &possible) != nil || !possible.IsSet(cpu) {
		return
	}
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set)
}

// What a client asks of the server by the first byte that it sends.
const (
	askEcho  = 'e'
	askClose = 'c'
	askSink  = 's'
)

const port = 7000

// serve takes one connection after the other. It ends with the program.
func serve(ready chan<- error) error {
	pin(1)
	listener, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(listener, &unix.SockaddrInet4{Port: port})
	}
	if err == nil {
		err = unix.Listen(listener, 16)
	}
	ready <- err
	if err != nil {
		return err
	}
	buffer := make([]byte, 1<<18)
	for {
		conn, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return err
		}
		_ = unix.SetsockoptInt(conn, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		var asked byte
		for {
			n, err := unix.Read(conn, buffer)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil || n <= 0 {
				break
			}
			if asked == 0 {
				asked = buffer[0]
			}
			if asked == askSink {
				continue
			}
			if _, err := unix.Write(conn, buffer[:1]); err != nil || asked == askClose {
				break
			}
		}
		_ = unix.Close(conn)
	}
}

// dial connects, with a bound on every read and write.
func dial() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	bound := unix.NsecToTimeval(int64(5 * time.Second))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &bound),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &bound),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}), // no TIME_WAIT: ports would run out
	)
	for err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(serverAddress).As4()})
		if err == nil || !errors.Is(err, unix.EINTR) {
			break
		}
		err = nil
	}
	if err != nil {
		return 0, errors.Join(fmt.Errorf("connect: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// exchange sends one byte and waits for one.
func exchange(fd int, buffer []byte) error {
	if _, err := unix.Write(fd, buffer); err != nil {
		return err
	}
	for {
		n, err := unix.Read(fd, buffer)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && n != 1 {
			err = errors.New("the connection ended")
		}
		return err
	}
}

// roundTrips asks and waits for the answer, on one connection.
func (l *lane) roundTrips(long time.Duration) error {
	fd, err := dial()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buffer := []byte{askEcho}
	var took []float64
	for began := time.Now(); time.Since(began) < long; {
		start := time.Now()
		if err := exchange(fd, buffer); err != nil {
			return err
		}
		took = append(took, float64(time.Since(start).Nanoseconds())/1000)
	}
	l.trips = append(l.trips, took...)
	l.medians = append(l.medians, quantileExact(took))
	return nil
}

// connect opens connections, one after the other, each for one round trip.
func (l *lane) connect(long time.Duration) error {
	began, opened := time.Now(), 0
	for time.Since(began) < long {
		fd, err := dial()
		if err != nil {
			return err
		}
		err = exchange(fd, []byte{askClose})
		if err := errors.Join(err, unix.Close(fd)); err != nil {
			return err
		}
		opened++
	}
	l.connections = append(l.connections, float64(opened)/time.Since(began).Seconds())
	return nil
}

// stream sends as fast as the connection takes it.
func (l *lane) stream(long time.Duration) error {
	fd, err := dial()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	buffer := make([]byte, 1<<17)
	buffer[0] = askSink
	began, sent := time.Now(), 0
	for time.Since(began) < long {
		n, err := unix.Write(fd, buffer)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		sent += max(n, 0)
	}
	l.bits = append(l.bits, float64(sent)*8/1e9/time.Since(began).Seconds())
	return nil
}
