//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bulkhead-dev/bulkhead/tests/bench/report"
	"github.com/bulkhead-dev/bulkhead/tests/namespace"
)

// tampering is one kind of it: one change of the kernel's, so that the time of its
// repair has one beginning.
type tampering struct {
	kind, command string
	// after takes away what the repair leaves alone.
	after string
	// quiet says that the kernel tells nobody: the sidecar finds it by the clock.
	quiet bool
}

// tamperings are of every kind, of both families.
func tamperings() []tampering {
	var all []tampering
	for _, family := range []struct{ tool, table, set, stranger string }{
		{"iptables-nft", "ip", "bulkhead-peers-4", strangerIPv4},
		{"ip6tables-nft", "ip6", "bulkhead-peers-6", strangerIPv6},
	} {
		tool, table := family.tool, family.table
		all = append(all,
			tampering{kind: "table flushed", command: tool + " -F"},
			tampering{kind: "chain flushed", command: tool + " -F BULKHEAD-INPUT"},
			tampering{kind: "jump deleted", command: tool + " -F INPUT"},
			tampering{kind: "accept above", command: tool + " -I INPUT 1 -j ACCEPT", after: tool + " -D INPUT -j ACCEPT"},
			tampering{kind: "accept in our chain", command: tool + " -I BULKHEAD-INPUT 1 -j ACCEPT"},
			tampering{kind: "rule replaced", command: tool + " -R BULKHEAD-INPUT 1 -j ACCEPT"},
			tampering{kind: "policy changed", command: tool + " -P INPUT ACCEPT"},
			tampering{kind: "policy changed and flushed", command: fmt.Sprintf("printf '*filter\\n:INPUT ACCEPT [0:0]\\n-F INPUT\\nCOMMIT\\n' | %s-restore --noflush", tool)},
			tampering{kind: "table dropped by nft", command: "nft delete table " + table + " filter"},
			tampering{kind: "rule that iptables cannot read", command: "nft insert rule " + table + " filter INPUT numgen inc mod 1 0 accept"},
			tampering{kind: "set flushed", command: "ipset flush " + family.set, quiet: true},
			tampering{kind: "set refilled", command: "ipset add " + family.set + " " + family.stranger, quiet: true},
			tampering{kind: "set swapped", command: fmt.Sprintf("ipset create other hash:net family %s; ipset add other %s; ipset swap other %s", map[string]string{"ip": "inet", "ip6": "inet6"}[table], family.stranger, family.set), after: "ipset destroy other", quiet: true},
		)
	}
	return append(all, tampering{kind: "ruleset flushed by nft", command: "nft flush ruleset"})
}

// quietEvery is how many tamperings with rules go by for one with a set: each of
// those waits for the clock.
const quietEvery = 30

// measureRepairs tampers with a running sidecar's rules while forbidden packets of
// both families come in, kills and starts the sidecar, and changes the pod's
// addresses.
func measureRepairs(ctx context.Context, o options, r *results) error {
	m, err := newRepairs(ctx, o)
	if err != nil {
		return err
	}
	defer m.end()
	loud, quiet := byEvents(true), byEvents(false)
	for i := range o.tamperings {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i%100 == 99 {
			report.Progress("  %d of %d", i+1, o.tamperings)
		}
		t := loud[i%len(loud)]
		if i%quietEvery == quietEvery-1 {
			t = quiet[i/quietEvery%len(quiet)]
		}
		if err := m.tamper(t); err != nil {
			return fmt.Errorf("%s (%s): %w", t.kind, t.command, err)
		}
	}
	if r.Summary.ResidentMiB, err = m.sidecar.resident(); err != nil {
		return err
	}
	if err := m.live(ctx, 20); err != nil {
		return err
	}
	m.tell(r)
	return nil
}

// byEvents are the tamperings that raise an event, or those that do not.
func byEvents(raise bool) []tampering {
	return slices.DeleteFunc(tamperings(), func(t tampering) bool { return t.quiet == raise })
}

// newRepairs starts a sidecar and opens fire.
func newRepairs(ctx context.Context, o options) (*repairs, error) {
	p, err := newPair()
	if err != nil {
		return nil, err
	}
	m := &repairs{o: o, pair: p, kinds: map[string]*kind{}}
	if m.sidecar, err = start(ctx, o, p.server, tenant(1000)); err == nil {
		_, err = m.sidecar.says("rules brought in", time.Minute)
	}
	if err == nil {
		m.fire, err = openFire(p)
	}
	if err == nil {
		m.changes, err = listen(p.server)
	}
	if err != nil {
		m.end()
		return nil, err
	}
	return m, nil
}

func (m *repairs) end() {
	if m.changes != nil {
		m.changes.close()
	}
	if m.fire != nil {
		m.fire.cease()
	}
	if m.sidecar != nil {
		m.sidecar.kill()
	}
	_ = m.pair.close()
}

// repairs is the measurement.
type repairs struct {
	o       options
	pair    *pair
	sidecar *sidecar
	fire    *fire
	changes *changes
	kinds   map[string]*kind

	guards, wholes []float64
	count, escaped int
}

type kind struct {
	guards, wholes []float64
	opens          int
}

// settle is how long is waited for what came through before.
const settle = 10 * time.Millisecond

func (m *repairs) tamper(t tampering) error {
	m.escaped += len(m.fire.taken())
	m.changes.drain()
	began := time.Now()
	if _, err := m.pair.server.Shell(t.command); err != nil {
		return err
	}
	if !t.quiet {
		began = m.changes.first(began)
	}
	ended, err := m.sidecar.says("tampered", time.Minute)
	if err != nil {
		return err
	}
	if t.after != "" {
		if _, err := m.pair.server.Shell(t.after); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	if m.kinds[t.kind] == nil {
		m.kinds[t.kind] = &kind{}
	}
	k := m.kinds[t.kind]
	open, escaped := window(m.fire.taken())
	if m.escaped += escaped; open > 0 {
		k.opens++
	}
	whole := report.In(time.Millisecond, ended.Sub(began))
	k.guards, k.wholes = append(k.guards, open), append(k.wholes, whole)
	if !t.quiet {
		m.guards, m.wholes = append(m.guards, open), append(m.wholes, whole)
	}
	m.count++
	return nil
}

// window is how long, in milliseconds, forbidden packets came through one after the
// other, and how many came through after others had been dropped again.
func window(hits []hit) (open float64, escaped int) {
	for _, ipv6 := range []bool{false, true} {
		var first, last *hit
		for i := range hits {
			h := &hits[i]
			switch {
			case h.ipv6 != ipv6:
			case first == nil:
				first, last = h, h
			case h.shot == last.shot+1:
				last = h
			default:
				escaped++
			}
		}
		if first != nil {
			open = max(open, report.In(time.Millisecond, last.at.Sub(first.at)+pause))
		}
	}
	return open, escaped
}

// live is the rest of a sidecar's life, through which nothing may come: killed and
// started again, given more peers and fewer, the pod given addresses and losing them.
func (m *repairs) live(ctx context.Context, times int) error {
	m.escaped += len(m.fire.taken())
	for i := range times {
		m.sidecar.kill()
		s, err := start(ctx, m.o, m.pair.server, tenant([]int{1000, 10}[i%2]))
		if err != nil {
			return err
		}
		m.sidecar = s
		for _, change := range []string{"ip addr add 172.16.1.77/24 dev eth0", "ip addr del 172.16.1.77/24 dev eth0"} {
			time.Sleep(100 * time.Millisecond)
			if _, err := m.pair.server.Shell(change); err != nil {
				return err
			}
		}
	}
	time.Sleep(100 * time.Millisecond)
	m.escaped += len(m.fire.taken())
	return nil
}

func (m *repairs) tell(r *results) {
	r.Summary.Tamperings, r.Summary.Escaped = m.count, m.escaped
	r.Summary.RepairGuardP99, r.Summary.RepairWholeP99 = report.Quantile(m.guards, 0.99), report.Quantile(m.wholes, 0.99)
	r.Details.guards, r.Details.wholes = m.guards, m.wholes
	r.Details.Shots = int(m.fire.shots.Load())
	r.Details.Repairs = map[string]repair{}
	for name, k := range m.kinds {
		r.Details.Repairs[name] = repair{len(k.guards), k.opens, spreadOf(k.guards), spreadOf(k.wholes)}
	}
}

// changes are nftables' events of a namespace, by the time that they came.
type changes struct {
	socket int
	times  chan time.Time
}

func listen(at *namespace.Namespace) (*changes, error) {
	c := &changes{times: make(chan time.Time, 10000)}
	err := at.Do(func() (err error) {
		if c.socket, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		_ = unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<22)
		return unix.Bind(c.socket, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)})
	})
	if err != nil {
		return nil, err
	}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			_, _, err := unix.Recvfrom(c.socket, buffer, 0)
			if errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENOBUFS) {
				continue
			}
			if err != nil {
				return
			}
			select {
			case c.times <- time.Now():
			default: // nobody asks for so many
			}
		}
	}()
	return c, nil
}

func (c *changes) drain() {
	for len(c.times) > 0 {
		<-c.times
	}
}

// first is when the first event came after a moment, or that moment.
func (c *changes) first(after time.Time) time.Time {
	for {
		select {
		case at := <-c.times:
			if at.After(after) {
				return at
			}
		case <-time.After(100 * time.Millisecond):
			return after
		}
	}
}

func (c *changes) close() { _ = unix.Shutdown(c.socket, unix.SHUT_RDWR); _ = unix.Close(c.socket) }
